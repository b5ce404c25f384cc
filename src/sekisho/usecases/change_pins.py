"""A person replaces one or both of their PINs (暗証番号変更)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sekisho.domain.errors import DoorClosed, EntryDiffers, EntryMissing, PinNotAllowed, Refusal
from sekisho.domain.secret import PINS, PinRules, SecretName, normal_form, pin_problems
from sekisho.domain.session import SessionEnd
from sekisho.store import audit, notices, people, secrets, sessions
from sekisho.usecases.hold_logged_on import hold_logged_on
from sekisho.usecases.judge_entry import judge_entry
from sekisho.usecases.log_on import check_entry

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank, Person
    from sekisho.domain.person import PersonId
    from sekisho.domain.session import Session
    from sekisho.store.audit import Actor
    from sekisho.store.secrets import Secret
    from sekisho.usecases.ports import Ports

# The fields of the screen: each PIN as it is, as it is to be, and that once more.
PRESENT_FIELDS = {SecretName.PIN: "present_pin", SecretName.CONFIRMATION_PIN: "present_confirmation_pin"}
NEW_FIELDS = {SecretName.PIN: "new_pin", SecretName.CONFIRMATION_PIN: "new_confirmation_pin"}
AGAIN = "_again"


@dataclass(frozen=True, slots=True)
class PinEntries:
    """What was typed: both present PINs, and each new one twice; one that is to stay is left empty."""

    present: Mapping[SecretName, str]
    new: Mapping[SecretName, str]
    again: Mapping[SecretName, str]


def change_pins(
    ports: Ports, *, bank: Bank, session: Session, certificate_id: int, entries: PinEntries, address: str
) -> None:
    """Replace the PINs that were typed anew; the person's other sessions end, and the person is told.

    Both present PINs are asked whichever is replaced: whether a new one equals
    its sister, or one of the last few, is told only to whoever knows both, so
    that nobody can try out the other one here without being counted.
    """
    now = ports.now()
    for name, field in PRESENT_FIELDS.items():
        check_entry(entries.present[name], field)
    new = read_new_pins(entries, session.person, bank.policy.pin_rules)
    remembered = bank.policy.pins_remembered
    with ports.db.read() as tx:
        person = _whose(tx, session.person)
        known = secrets.of(tx, person.id, PINS)
        past = {name: secrets.past_verifiers(tx, person.id, name, remembered) for name in new}
    if any(secret.provisional_until is not None for secret in known.values()):
        _require_both(new)
    right = {name: ports.pins.verify(known[name].verifier, entries.present[name]) for name in PINS}
    not_allowed, verifiers = None, {}
    if all(right.values()):
        not_allowed = _compare(ports, new, entries.present, past)
        verifiers = {} if not_allowed else {name: ports.pins.hash(pin) for name, pin in new.items()}
    actor = audit.actor_of(person.who, address)

    def judge_and_change(tx: Connection) -> Refusal | None:
        present = hold_logged_on(tx, person.id, session, certificate_id, bank=bank, now=now)
        refusal = judge_both(tx, present, known, right, bank, actor, now) or not_allowed
        if refusal is None:
            for name, verifier in verifiers.items():
                secrets.replace_pin(tx, known[name], verifier, now, remembered=remembered)
            secrets.clear_misses(tx, [person.id], PINS)
            _tell(tx, person, list(verifiers), session, actor, now)
        return refusal

    # A counted miss is told once it is committed.
    if (refusal := ports.db.write(judge_and_change)) is not None:
        raise refusal


def read_new_pins(entries: PinEntries, who: PersonId, rules: PinRules) -> dict[SecretName, str]:
    """Return the new PINs in normal form, by what can be said of them without knowing any secret.

    Raises `EntryMissing`, `EntryDiffers` or `PinNotAllowed` with the fields that are to be entered again.
    """
    typed = {name: normal_form(entry) for name, entry in entries.new.items()}
    new = {name: pin for name, pin in typed.items() if pin or entries.again[name].strip()}
    if not new:
        raise EntryMissing(fields={NEW_FIELDS[SecretName.PIN]: "new-pin-missing"})
    if missing := [name for name, pin in new.items() if not pin]:
        raise EntryMissing(fields={NEW_FIELDS[name]: "entry-missing" for name in missing})
    differing = [name for name, pin in new.items() if pin != normal_form(entries.again[name])]
    if differing:
        raise EntryDiffers(fields={NEW_FIELDS[name] + AGAIN: "entry-differs" for name in differing})
    ids = (who.contract_id,) if who.user_id is None else (who.contract_id, who.user_id)
    sisters = {SecretName.PIN: None, SecretName.CONFIRMATION_PIN: new.get(SecretName.PIN)}
    problems = {name: pin_problems(pin, ids=ids, sister=sisters[name], rules=rules) for name, pin in new.items()}
    if any(problems.values()):
        raise PinNotAllowed(
            fields={NEW_FIELDS[name]: f"pin-{broken[0]}" for name, broken in problems.items() if broken}
        )
    return new


def judge_both(
    tx: Connection,
    person: Person,
    checked: Mapping[SecretName, Secret],
    right: Mapping[SecretName, bool],
    bank: Bank,
    actor: Actor,
    now: datetime,
) -> Refusal | None:
    """Judge both PINs of a person who is held, each with its own count; return the first refusal that stands."""
    present = secrets.of(tx, person.id, PINS)
    told: Refusal | None = None
    for name in PINS:
        refusal = judge_entry(
            tx,
            person,
            present[name],
            checked=checked[name],
            right=right[name],
            policy=bank.policy,
            actor=actor,
            now=now,
        )
        told = told or refusal
        if isinstance(refusal, DoorClosed):
            return refusal
    return told


def _require_both(new: Mapping[SecretName, str]) -> None:
    if missing := [field for name, field in NEW_FIELDS.items() if name not in new]:
        raise EntryMissing(fields=dict.fromkeys(missing, "entry-missing"))


def _compare(
    ports: Ports, new: Mapping[SecretName, str], present: Mapping[SecretName, str], past: Mapping[SecretName, list[str]]
) -> PinNotAllowed | None:
    """Compare new PINs with what the person uses and used; the present ones were found right."""
    standing = {name: normal_form(entry) for name, entry in present.items()}
    wrong: dict[str, str] = {}
    for name, pin in new.items():
        sister = next(other for other in PINS if other is not name)
        if pin == new.get(sister, standing[sister]):
            wrong[NEW_FIELDS[name]] = "pin-equals-sister"
        elif pin == standing[name] or any(ports.pins.verify(verifier, pin) for verifier in past[name]):
            wrong[NEW_FIELDS[name]] = "pin-recent"
    return PinNotAllowed(fields=wrong) if wrong else None


def _tell(
    tx: Connection, person: Person, changed: list[SecretName], session: Session, actor: Actor, now: datetime
) -> None:
    ended = sessions.end_of_people(tx, [person.id], SessionEnd.PIN_CHANGED, now, but=session.id)
    audit.add(
        tx,
        "pins-changed",
        actor,
        at=now,
        who=person.who,
        person_id=person.id,
        which=", ".join(name.value for name in changed),
        sessions_ended=ended,
    )
    notices.add(tx, person.id, "pins-changed", now)


def _whose(tx: Connection, who: PersonId) -> Person:
    person = people.find(tx, who)
    if person is None:
        raise RuntimeError("a session without a person")
    return person
