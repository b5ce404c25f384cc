"""The second step of an administrator's logon by an authenticator app or a passkey (the card: `log_on.answer_card`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.errors import EntryWrong, PasskeyNotAccepted, SecondStepMissing
from sekisho.domain.second_step import SecondStep, read_code
from sekisho.domain.secret import SecretName
from sekisho.store import audit, passkeys, people, secrets, sessions
from sekisho.usecases.judge_entry import judge_entry
from sekisho.usecases.log_on import LastStep, OpenedSession, complete_logon
from sekisho.usecases.read_second_steps import read_second_steps, second_steps_of, secret_owner
from sekisho.vault import totp
from sekisho.vault.passkeys import CHALLENGE, PasskeyWrong, count_grew

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank
    from sekisho.domain.errors import Refusal
    from sekisho.usecases.ports import Ports
    from sekisho.usecases.resume_session import LoggedOn
    from sekisho.vault.passkeys import PasskeyJudge


def answer_totp(
    ports: Ports, *, bank: Bank, current: LoggedOn, code: str, address: str, language: str | None = None
) -> OpenedSession:
    """Take a code of the authenticator app, each time step once, and complete the logon.

    Misses count and close the door as the card's do. Raises `SecondStepMissing`.
    """
    now = ports.now()
    entered = read_code(code)
    person = current.person
    checked = read_second_steps(ports, bank=bank, person=person).totp
    if checked is None:
        raise SecondStepMissing
    person.check_door()
    opened = ports.seal.open(checked.verifier, secret_owner(person))
    step = totp.step_of(opened["secret"], entered, now)
    right = step is not None and (checked.used_step is None or step > checked.used_step)
    actor = audit.actor_of(person.who, address)

    def judge(tx: Connection) -> Refusal | None:
        secret = secrets.of(tx, person.id, [SecretName.TOTP]).get(SecretName.TOTP)
        if secret is None:
            return SecondStepMissing()
        refusal = judge_entry(
            tx,
            people.get(tx, person.id),
            secret,
            checked=checked,
            right=right,
            policy=bank.policy,
            actor=actor,
            now=now,
        )
        if refusal is None and (step is None or not secrets.use_step(tx, person.id, SecretName.TOTP, step)):
            return EntryWrong()
        return refusal

    last = LastStep(SecondStep.TOTP, person, current.certificate, current.session, actor, now, language)
    return complete_logon(ports, bank, last, judge, SecretName.TOTP)


def ask_passkey(ports: Ports, *, bank: Bank, current: LoggedOn, judge: PasskeyJudge) -> str:
    """Return what the browser is to ask the person's passkeys, and keep it. Raises `SecondStepMissing`."""
    keys = read_second_steps(ports, bank=bank, person=current.person).passkeys
    if not keys:
        raise SecondStepMissing
    challenge = new_challenge(ports, current)
    return judge.question(challenge, [key.credential for key in keys])


def new_challenge(ports: Ports, current: LoggedOn) -> bytes:
    """Keep a new challenge in the session, in place of any before."""
    challenge = ports.entropy(CHALLENGE)
    ports.db.write(lambda tx: sessions.put_challenge(tx, current.session.id, challenge))
    return challenge


def answer_passkey(
    ports: Ports,
    *,
    bank: Bank,
    current: LoggedOn,
    judge: PasskeyJudge,
    answer: str,
    address: str,
    language: str | None = None,
) -> OpenedSession:
    """Take what a passkey has answered and complete the logon. Raises `PasskeyNotAccepted`.

    Nothing is counted: there is nothing to guess. Each question is answered once.
    """
    now = ports.now()
    person = current.person
    with ports.db.read() as tx:
        keys = second_steps_of(tx, bank, person, now).passkeys
        challenge = sessions.challenge_of(tx, current.session.id)
    if challenge is None:
        raise PasskeyNotAccepted
    person.check_door()
    try:
        used = judge.judge(challenge, [key.credential for key in keys], answer)
    except PasskeyWrong:
        used = None
    key = next((key for key in keys if used is not None and key.credential_id == used.credential_id), None)
    actor = audit.actor_of(person.who, address)

    def take(tx: Connection) -> Refusal | None:
        people.get(tx, person.id).check_door()
        if not sessions.take_challenge(tx, current.session.id, challenge):
            return PasskeyNotAccepted()
        if used is None or key is None:
            audit.add(tx, "passkey-refused", actor, at=now, who=person.who, person_id=person.id)
            return PasskeyNotAccepted()
        if not count_grew(key.sign_count, used.sign_count):
            # Two who sign with one key: one of them is a copy, and nobody can tell which.
            audit.add(tx, "passkey-copied", actor, at=now, who=person.who, person_id=person.id, passkey=key.id)
            return PasskeyNotAccepted()
        return None if passkeys.mark_used(tx, key, used.sign_count, now) else PasskeyNotAccepted()

    last = LastStep(SecondStep.PASSKEY, person, current.certificate, current.session, actor, now, language)
    return complete_logon(ports, bank, last, take)
