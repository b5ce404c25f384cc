"""An administrator adds and takes away an authenticator app or passkeys, with ご契約先確認暗証番号."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sekisho.domain.errors import (
    EntryMissing,
    EntryTooLong,
    EntryWrong,
    FormExpired,
    PasskeyNotAccepted,
    SecondStepMissing,
)
from sekisho.domain.second_step import LONGEST_LABEL, SecondStep, read_code
from sekisho.domain.secret import SecretName, normal_form
from sekisho.store import audit, notices, passkeys, people, secrets, sessions
from sekisho.usecases import confirm
from sekisho.usecases.read_second_steps import secret_owner
from sekisho.usecases.second_step import new_challenge
from sekisho.vault import totp
from sekisho.vault.passkeys import PasskeyWrong, credential_named

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank, Person
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports
    from sekisho.usecases.resume_session import LoggedOn
    from sekisho.vault.passkeys import PasskeyJudge

# For which a new app's secret that was shown waits for its first code.
_SHOWN_FOR = timedelta(minutes=30)
MOST_PASSKEYS = 10


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Who decides, from where, and the ご契約先確認暗証番号 that was typed for it."""

    current: LoggedOn
    confirmation_pin: str
    address: str

    @property
    def confirmation(self) -> confirm.Confirmation:
        """The same without the person."""
        session, certificate_id = self.current.session, self.current.certificate.id
        return confirm.Confirmation(session, certificate_id, self.confirmation_pin, self.address)


def begin_totp(ports: Ports, *, bank: Bank, current: LoggedOn) -> None:
    """Make a new secret for an authenticator app; it counts once a code of it was typed."""
    _check_offered(bank, SecondStep.TOTP)
    now = ports.now()
    person = current.person
    sealed = ports.seal.seal({"secret": totp.new_secret(ports.entropy)}, secret_owner(person))

    def put(tx: Connection) -> None:
        people.lock(tx, [person.id])
        secrets.put(tx, person.id, SecretName.NEW_TOTP, sealed, now)

    ports.db.write(put)


def new_totp(ports: Ports, *, bank: Bank, current: LoggedOn) -> str:
    """Return the secret that waits to be taken, in base32. Raises `SecondStepMissing` where none does."""
    _check_offered(bank, SecondStep.TOTP)
    now = ports.now()
    with ports.db.read() as tx:
        waiting = secrets.of(tx, current.person.id, [SecretName.NEW_TOTP]).get(SecretName.NEW_TOTP)
    if waiting is None or waiting.set_at is None or now - waiting.set_at > _SHOWN_FOR:
        raise SecondStepMissing
    return ports.seal.open(waiting.verifier, secret_owner(current.person))["secret"]


def add_totp(ports: Ports, *, bank: Bank, confirmed: Confirmed, code: str, shown: str) -> None:
    """Take the new app in use, in place of any before. Raises `EntryWrong` where the code is not its.

    `shown` is the mark (`mark_of`) of the secret that the page had: one that
    was begun anew since then in another window is not taken (`FormExpired`),
    and one that was taken already is not taken twice.
    """
    now = ports.now()
    entered = read_code(code)
    person = confirmed.current.person
    with ports.db.read() as tx:
        if _taken(ports, tx, person, shown):
            return
    secret = new_totp(ports, bank=bank, current=confirmed.current)
    if mark_of(secret) != shown:
        raise FormExpired
    step = totp.step_of(secret, entered, now)

    def add(tx: Connection, actor: Actor, now: datetime) -> None:
        if _taken(ports, tx, person, shown):
            return
        if step is None:
            raise EntryWrong(fields={"code": "entry-wrong"})
        if not secrets.remove(tx, person.id, SecretName.NEW_TOTP):
            raise SecondStepMissing
        secrets.put(tx, person.id, SecretName.TOTP, ports.seal.seal({"secret": secret}, secret_owner(person)), now)
        # The code that was just shown opens nothing any more.
        secrets.use_step(tx, person.id, SecretName.TOTP, step)
        _told(tx, confirmed, "second-step-added", SecondStep.TOTP, actor, now)

    _confirm(ports, bank, confirmed, add)


def mark_of(secret: str) -> str:
    """Return what tells one app's secret from another and says nothing of it, to stand in a form."""
    return hashlib.sha256(f"totp:{secret}".encode()).hexdigest()[:32]


def _taken(ports: Ports, tx: Connection, person: Person, shown: str) -> bool:
    """Tell whether the secret that a page had is the one in use."""
    present = secrets.of(tx, person.id, [SecretName.TOTP]).get(SecretName.TOTP)
    return present is not None and mark_of(ports.seal.open(present.verifier, secret_owner(person))["secret"]) == shown


def ask_new_passkey(ports: Ports, *, bank: Bank, current: LoggedOn, judge: PasskeyJudge) -> str:
    """Return what the browser is to make, and keep the question."""
    _check_offered(bank, SecondStep.PASSKEY)
    with ports.db.read() as tx:
        keys = passkeys.of(tx, current.person.id)
    who = current.person.who
    # The same for the same person, and nothing that tells who that is (WebAuthn section 14.6.1).
    handle = hashlib.sha256(f"passkey:{who.bank}:{who.contract_id}".encode()).digest()
    challenge = new_challenge(ports, current)
    return judge.question_for_new(challenge, handle, current.person.name, [key.credential for key in keys])


def add_passkey(
    ports: Ports, *, bank: Bank, confirmed: Confirmed, judge: PasskeyJudge, label: str, answer: str
) -> None:
    """Keep a new passkey under a name. Raises `PasskeyNotAccepted`.

    Nothing is done where this question was answered before and the person has it: the form was sent twice.
    """
    _check_offered(bank, SecondStep.PASSKEY)
    person, session = confirmed.current.person, confirmed.current.session
    name = _label(label)
    with ports.db.read() as tx:
        challenge = sessions.challenge_of(tx, session.id)
    try:
        made = None if challenge is None else judge.judge_new(challenge, answer)
    except PasskeyWrong:
        made = None

    def add(tx: Connection, actor: Actor, now: datetime) -> None:
        held = passkeys.of(tx, person.id)
        answered = challenge is not None and sessions.take_challenge(tx, session.id, challenge)
        if not answered and credential_named(answer) in {key.credential_id for key in held}:
            return
        if made is None or not answered or len(held) >= MOST_PASSKEYS:
            raise PasskeyNotAccepted
        passkeys.add(
            tx, person.id, label=name, credential_id=made.credential_id, credential=made.credential,
            sign_count=made.sign_count, now=now,
        )  # fmt: skip
        _told(tx, confirmed, "second-step-added", SecondStep.PASSKEY, actor, now)

    _confirm(ports, bank, confirmed, add)


def remove_totp(ports: Ports, *, bank: Bank, confirmed: Confirmed) -> None:
    """Take the authenticator app away. Raises `SecondStepMissing` where there is none."""
    person = confirmed.current.person

    def remove(tx: Connection, actor: Actor, now: datetime) -> None:
        if not secrets.remove(tx, person.id, SecretName.TOTP):
            raise SecondStepMissing
        _told(tx, confirmed, "second-step-removed", SecondStep.TOTP, actor, now)

    _confirm(ports, bank, confirmed, remove)


def remove_passkey(ports: Ports, *, bank: Bank, confirmed: Confirmed, passkey_id: int) -> None:
    """Take a passkey away. Raises `SecondStepMissing` where the person has none of that row."""
    person = confirmed.current.person

    def remove(tx: Connection, actor: Actor, now: datetime) -> None:
        if not passkeys.remove(tx, person.id, passkey_id):
            raise SecondStepMissing
        _told(tx, confirmed, "second-step-removed", SecondStep.PASSKEY, actor, now, passkey=passkey_id)

    _confirm(ports, bank, confirmed, remove)


def _check_offered(bank: Bank, step: SecondStep) -> None:
    if step not in bank.policy.second_steps:
        raise SecondStepMissing


def _label(entry: str) -> str:
    label = normal_form(entry)
    if not label:
        raise EntryMissing(fields={"label": "entry-missing"})
    if len(label) > LONGEST_LABEL or not label.isprintable():
        raise EntryTooLong(fields={"label": "entry-too-long"})
    return label


def _told(
    tx: Connection, confirmed: Confirmed, what: str, step: SecondStep, actor: Actor, now: datetime, **detail: int
) -> None:
    person = confirmed.current.person
    audit.add(tx, what, actor, at=now, who=person.who, person_id=person.id, step=step.value, **detail)
    notices.add(tx, person.id, f"{what}-{step.value}", now)


def _confirm(
    ports: Ports, bank: Bank, confirmed: Confirmed, act: Callable[[Connection, Actor, datetime], None]
) -> None:
    """Run `act` in the transaction in which the administrator's confirmation PIN is judged right."""
    now = ports.now()

    def decide(tx: Connection, _person: Person, actor: Actor) -> None:
        act(tx, actor, now)

    confirm.confirmed(ports, bank=bank, confirmation=confirmed.confirmation, now=now, act=decide)
