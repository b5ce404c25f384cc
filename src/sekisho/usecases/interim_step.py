"""The interim second step: a code from the branch, with which an app is set up while a logon stands at its second step.

For whoever has lost the card or the app. The code alone completes no logon:
it leads to a new app, whose first code does, and is gone then. At a bank that
offers no apps this one stands in until the new card is in use.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING

from sekisho.domain.errors import EntryWrong, FormExpired, FormWithoutEffect, SecondStepMissing
from sekisho.domain.second_step import INTERIM_APP, SecondStep, read_code
from sekisho.domain.secret import SecretName, new_provisional_pin, normal_form
from sekisho.domain.session import SessionEnd
from sekisho.store import audit, notices, people, secrets, sessions
from sekisho.usecases.hold_logged_on import hold_logged_on
from sekisho.usecases.judge_entry import judge_entry
from sekisho.usecases.log_on import LastStep, OpenedSession, check_entry, complete_logon
from sekisho.usecases.manage_second_steps import mark_of
from sekisho.usecases.provisional_pins import DrawnPins, IssuedPins
from sekisho.usecases.read_second_steps import read_second_steps, secret_owner
from sekisho.vault import totp

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank, Person
    from sekisho.domain.errors import Refusal
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports
    from sekisho.usecases.resume_session import LoggedOn

# For which the new app's secret is shown; then the branch's code is asked anew.
_SHOWN_FOR = timedelta(minutes=30)


def draw_interim(ports: Ports) -> DrawnPins:
    """Draw a code, as provisional PINs are drawn."""
    code = new_provisional_pin(ports.entropy)
    return DrawnPins({SecretName.INTERIM: code}, {SecretName.INTERIM: ports.pins.hash(code)})


def give_interim(
    tx: Connection, person: Person, drawn: DrawnPins, actor: Actor, *, now: datetime, until: datetime
) -> IssuedPins:
    """Set the code of an administrator who is held, end the app that they had and their sessions, and tell them.

    Raises `FormWithoutEffect` where the contract is stopped: that is lifted first.
    """
    if person.contract_stopped_at is not None:
        raise FormWithoutEffect
    for name in (SecretName.TOTP, SecretName.NEW_TOTP):
        secrets.remove(tx, person.id, name)
    secrets.put(tx, person.id, SecretName.INTERIM, drawn.verifiers[SecretName.INTERIM], now, provisional_until=until)
    ended = sessions.end_of_people(tx, [person.id], SessionEnd.CLOSED, now)
    audit.add(tx, "interim-step-given", actor, at=now, who=person.who, person_id=person.id, sessions_ended=ended)
    notices.add(tx, person.id, "interim-step-given", now, mail_to=person.mail_address, until=until.isoformat())
    return IssuedPins(person.who, person.name, drawn.pins, until, acquires=False)


def enter_interim(ports: Ports, *, bank: Bank, current: LoggedOn, code: str, address: str) -> None:
    """Take the branch's code at the second step; the session may set up an app then, and nothing else.

    Misses count and close the door as the card's do. Raises `SecondStepMissing`.
    """
    now = ports.now()
    check_entry(code, "interim_code")
    person, session = current.person, current.session
    checked = read_second_steps(ports, bank=bank, person=person).interim
    if checked is None:
        raise SecondStepMissing
    person.check_door()
    right = ports.pins.verify(checked.verifier, normal_form(code).lower())
    secret = totp.new_secret(ports.entropy)
    sealed = ports.seal.seal({"secret": secret}, secret_owner(person))
    actor = audit.actor_of(person.who, address)

    def judge(tx: Connection) -> Refusal | None:
        held = hold_logged_on(tx, person.id, session, current.certificate.id, bank=bank, now=now)
        present = secrets.of(tx, person.id, [SecretName.INTERIM]).get(SecretName.INTERIM)
        if present is None or present.ended(now):
            return SecondStepMissing()
        refusal = judge_entry(
            tx,
            held,
            present,
            checked=checked,
            right=right,
            policy=bank.policy,
            actor=actor,
            now=now,
        )
        if refusal is None:
            secrets.put(tx, person.id, SecretName.NEW_TOTP, sealed, now)
            sessions.put_challenge(tx, session.id, _pass(secret))
            audit.add(tx, "interim-step-entered", actor, at=now, who=person.who, person_id=person.id)
        return refusal

    # A counted miss is told once it is committed.
    if (refusal := ports.db.write(judge)) is not None:
        raise refusal


def interim_app(ports: Ports, *, current: LoggedOn) -> str:
    """Return the secret of the app to be set up, in base32.

    Raises `SecondStepMissing` in a session in which the branch's code was not
    entered, or not lately.
    """
    now = ports.now()
    with ports.db.read() as tx:
        challenge = sessions.challenge_of(tx, current.session.id)
        new = secrets.of(tx, current.person.id, [SecretName.NEW_TOTP]).get(SecretName.NEW_TOTP)
    if challenge is None or new is None or new.set_at is None or now - new.set_at > _SHOWN_FOR:
        raise SecondStepMissing
    secret = ports.seal.open(new.verifier, secret_owner(current.person))["secret"]
    if challenge != _pass(secret):
        raise SecondStepMissing
    return secret


def take_interim_app(
    ports: Ports, *, bank: Bank, current: LoggedOn, code: str, shown: str, address: str, language: str | None = None
) -> OpenedSession:
    """Take the new app in use by its first code, end the branch's code, and complete the logon.

    `shown` is the mark (`mark_of`) of the secret that the page had. A wrong
    code counts nowhere: whoever sees the secret has nothing to guess.
    """
    now = ports.now()
    entered = read_code(code)
    person, session = current.person, current.session
    secret = interim_app(ports, current=current)
    if mark_of(secret) != shown:
        raise FormExpired
    step = totp.step_of(secret, entered, now)
    sealed = ports.seal.seal({"secret": secret}, secret_owner(person))
    lasts = None if SecondStep.TOTP in bank.policy.second_steps else now + INTERIM_APP
    actor = audit.actor_of(person.who, address)

    def take(tx: Connection) -> Refusal | None:
        people.get(tx, person.id).check_door()
        if step is None:
            return EntryWrong(fields={"code": "entry-wrong"})
        # The code may have been taken in another session, or given anew by the branch, since the page was shown.
        if not sessions.take_challenge(tx, session.id, _pass(secret)) or not secrets.remove(
            tx, person.id, SecretName.INTERIM
        ):
            return SecondStepMissing()
        secrets.remove(tx, person.id, SecretName.NEW_TOTP)
        secrets.put(tx, person.id, SecretName.TOTP, sealed, now, provisional_until=lasts)
        # The code that was just shown opens nothing any more.
        secrets.use_step(tx, person.id, SecretName.TOTP, step)
        audit.add(
            tx, "second-step-added", actor, at=now, who=person.who, person_id=person.id, step=SecondStep.TOTP.value
        )
        notices.add(tx, person.id, "second-step-added-totp", now)
        return None

    last = LastStep(SecondStep.INTERIM, person, current.certificate, session, actor, now, language)
    return complete_logon(ports, bank, last, take)


def _pass(secret: str) -> bytes:
    """Return what a session keeps once the code was right: it stands for this secret and no other."""
    return hashlib.sha256(f"interim:{secret}".encode()).digest()
