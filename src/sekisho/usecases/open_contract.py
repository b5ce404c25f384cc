"""The administrator opens their contract (開通確認, J7): registration PIN, PINs anew, mail address, mailed code."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sekisho.domain.errors import (
    EntryMissing,
    OpeningCodeWrong,
    OpeningStepDone,
    PinNotAllowed,
    Refusal,
)
from sekisho.domain.secret import PINS, SecretName, normal_form
from sekisho.domain.session import SessionEnd
from sekisho.store import audit, codes, notices, people, secrets, sessions
from sekisho.store.codes import Purpose
from sekisho.usecases.change_pins import NEW_FIELDS, read_new_pins
from sekisho.usecases.hold_logged_on import hold_logged_on
from sekisho.usecases.judge_entry import judge_entry
from sekisho.usecases.log_on import check_entry
from sekisho.usecases.mailed_code import CodeFor, address_to_confirm, check_code, mail_code_to, take_code

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank, Person
    from sekisho.domain.person import PersonId
    from sekisho.domain.session import Session
    from sekisho.store.secrets import Secret
    from sekisho.usecases.change_pins import PinEntries
    from sekisho.usecases.mailed_code import CodeMail
    from sekisho.usecases.ports import Ports

_ASKED = SecretName.REGISTRATION_PIN


class OpeningStep(StrEnum):
    """What is asked next: the registration PIN with PINs and mail address, or the code that was mailed."""

    ENTRIES = "entries"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class Opener:
    """Who opens the contract, logged on, and from where."""

    session: Session
    certificate_id: int
    address: str


def opening_step(ports: Ports, *, person: Person) -> OpeningStep:
    """Return the step at which an unopened contract stands: the registration PIN is there until it was used."""
    with ports.db.read() as tx:
        return OpeningStep.ENTRIES if _registration_of(tx, person) else OpeningStep.CODE


def enter_opening(
    ports: Ports,
    *,
    bank: Bank,
    opener: Opener,
    registration_pin: str,
    pins: PinEntries,
    mail_address: str,
    mail: CodeMail,
) -> None:
    """Take the registration PIN, both PINs anew and the mail address at once, and mail a code there.

    Once that is committed the registration PIN is spent and the new PINs are
    those of the next logon. `MailAway` changes nothing of that: another code
    can be asked for.
    """
    now = ports.now()
    check_entry(registration_pin, "registration_pin")
    new = read_new_pins(pins, opener.session.person, bank.policy.pin_rules)
    if missing := [field for name, field in NEW_FIELDS.items() if name not in new]:
        raise EntryMissing(fields=dict.fromkeys(missing, "entry-missing"))
    to = address_to_confirm(mail_address, "mail_address")
    remembered = bank.policy.pins_remembered
    with ports.db.read() as tx:
        person = _whose(tx, opener.session.person)
        checked = _registration_of(tx, person)
        known = secrets.of(tx, person.id, PINS)
        used = [secret.verifier for secret in known.values()]
        used += [verifier for name in PINS for verifier in secrets.past_verifiers(tx, person.id, name, remembered)]
    if checked is None:
        raise OpeningStepDone
    right = ports.pins.verify(checked.verifier, registration_pin)
    not_allowed = _compare(ports, new, registration_pin, used) if right else None
    verifiers = {name: ports.pins.hash(pin) for name, pin in new.items()} if right and not not_allowed else {}
    actor = audit.actor_of(person.who, opener.address)

    def judge_and_set(tx: Connection) -> Refusal | None:
        present = hold_logged_on(tx, person.id, opener.session, opener.certificate_id, bank=bank, now=now)
        secret = _registration_of(tx, present)
        if secret is None:
            return OpeningStepDone()
        refusal = judge_entry(
            tx, present, secret, checked=checked, right=right, policy=bank.policy, actor=actor, now=now
        )
        if refusal is not None or not_allowed is not None:
            return refusal or not_allowed
        standing = secrets.of(tx, person.id, PINS)
        for name, verifier in verifiers.items():
            secrets.replace_pin(tx, standing[name], verifier, now, remembered=remembered)
        secrets.remove(tx, person.id, _ASKED)
        people.set_mail_address(tx, person.id, to)
        sessions.end_of_people(tx, [person.id], SessionEnd.PIN_CHANGED, now, but=opener.session.id)
        audit.add(tx, "opening-entered", actor, at=now, who=person.who, person_id=person.id)
        notices.add(tx, person.id, "pins-changed", now, mail_to=present.mail_address)
        return None

    # A counted miss is told once it is committed.
    if (refusal := ports.db.write(judge_and_set)) is not None:
        raise refusal
    mail_code_to(ports, CodeFor(person, to, Purpose.MAIL_ADDRESS), mail, now)


def mail_opening_code(ports: Ports, *, bank: Bank, opener: Opener, mail_address: str, mail: CodeMail) -> None:
    """Mail another code, to another address if that is what was typed; the codes before count no more then."""
    now = ports.now()
    to = address_to_confirm(mail_address, "mail_address")

    def change(tx: Connection) -> Person | Refusal:
        present = _hold_at_code(tx, bank, opener, now)
        if isinstance(present, Refusal) or present.mail_address == to:
            return present
        people.set_mail_address(tx, present.id, to)
        actor = audit.actor_of(present.who, opener.address)
        audit.add(tx, "opening-mail-address-changed", actor, at=now, who=present.who, person_id=present.id)
        return present

    outcome = ports.db.write(change)
    if isinstance(outcome, Refusal):
        raise outcome
    mail_code_to(ports, CodeFor(outcome, to, Purpose.MAIL_ADDRESS), mail, now)


def confirm_opening(ports: Ports, *, bank: Bank, opener: Opener, code: str) -> None:
    """Take the code that was mailed: the address is confirmed, and the contract is open.

    Wrong ones count against the code, which is of no use after as many as
    close a door; another one has to be mailed then.
    """
    now = ports.now()
    check_entry(code, "mailed_code")
    with ports.db.read() as tx:
        person = _whose(tx, opener.session.person)
        last = codes.latest(tx, person.id, Purpose.MAIL_ADDRESS)
    address = person.mail_address or ""
    typed = check_code(ports, last, CodeFor(person, address, Purpose.MAIL_ADDRESS), code, now)
    actor = audit.actor_of(person.who, opener.address)
    limit = bank.policy.misses_before_closed

    def judge_and_open(tx: Connection) -> Refusal | None:
        present = _hold_at_code(tx, bank, opener, now)
        if isinstance(present, Refusal):
            return present
        same_address = present.mail_address == address
        if not take_code(tx, typed, present, actor=actor, limit=limit, now=now) or not same_address:
            return OpeningCodeWrong(fields={"mailed_code": "entry-wrong"})
        people.confirm_mail_address(tx, present.id, address, now)
        people.open_contract(tx, present.who, now)
        audit.add(tx, "contract-opened", actor, at=now, who=present.who, person_id=present.id)
        notices.add(tx, present.id, "contract-opened", now)
        return None

    # A counted miss is told once it is committed.
    if (refusal := ports.db.write(judge_and_open)) is not None:
        raise refusal


def _hold_at_code(tx: Connection, bank: Bank, opener: Opener, now: datetime) -> Person | Refusal:
    """Hold the person, who has entered everything but the code, or return why the code is not asked of them."""
    whose = _whose(tx, opener.session.person)
    present = hold_logged_on(tx, whose.id, opener.session, opener.certificate_id, bank=bank, now=now)
    if present.contract_opened_at is not None or _registration_of(tx, present) is not None:
        return OpeningStepDone()
    return present


def _compare(ports: Ports, new: Mapping[SecretName, str], registration_pin: str, used: list[str]) -> Refusal | None:
    """Compare the new PINs with what stands on the application form; the registration PIN was found right."""
    on_paper = normal_form(registration_pin)
    wrong = [
        NEW_FIELDS[name]
        for name, pin in new.items()
        if pin == on_paper or any(ports.pins.verify(verifier, pin) for verifier in used)
    ]
    return PinNotAllowed(fields=dict.fromkeys(wrong, "pin-on-form")) if wrong else None


def _registration_of(tx: Connection, person: Person) -> Secret | None:
    return secrets.of(tx, person.id, [_ASKED]).get(_ASKED)


def _whose(tx: Connection, who: PersonId) -> Person:
    person = people.find(tx, who)
    if person is None:
        raise RuntimeError("a session without a person")
    return person
