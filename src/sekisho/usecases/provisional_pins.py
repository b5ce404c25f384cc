"""Provisional PINs (仮暗証番号): drawn by the system, shown once, replaced at the first logon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sekisho.domain.secret import PINS, SecretName, new_provisional_pin, pin_problems
from sekisho.domain.session import SessionEnd
from sekisho.store import audit, people, permits, secrets, sessions
from sekisho.usecases.change_user import find_user, tell_both
from sekisho.usecases.confirm import Confirmation, confirmed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank, Person
    from sekisho.domain.person import PersonId
    from sekisho.domain.policy import Policy
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports

_OPENS = SecretName.REGISTRATION_PIN


@dataclass(frozen=True, slots=True)
class DrawnPins:
    """New PINs in clear, which go to their slip and nowhere else, with their verifiers."""

    pins: Mapping[SecretName, str]
    verifiers: Mapping[SecretName, str]


@dataclass(frozen=True, slots=True)
class IssuedPins:
    """What stands on the slip: whose they are, the PINs, until when they count, and whether a permit came with them."""

    who: PersonId
    name: str
    pins: Mapping[SecretName, str]
    until: datetime
    acquires: bool


def draw_pins(ports: Ports, who: PersonId, *, opens: bool = False) -> DrawnPins:
    """Draw two PINs that follow the rules for PINs as any others do, and with `opens` a registration PIN besides."""
    ids = (who.contract_id, who.user_id or "")
    pins: dict[SecretName, str] = {}
    for name in (*PINS, _OPENS) if opens else PINS:
        while (pin := new_provisional_pin(ports.entropy)) in pins.values() or pin_problems(pin, ids=ids):
            pass
        pins[name] = pin
    return DrawnPins(pins, {name: ports.pins.hash(pin) for name, pin in pins.items()})


def put_pins(
    tx: Connection, person_id: int, drawn: DrawnPins, *, remembered: int, now: datetime, until: datetime | None
) -> None:
    """Set them; whatever the person had is remembered among their past PINs."""
    present = secrets.of(tx, person_id, PINS)
    for name, verifier in drawn.verifiers.items():
        if name in present:
            secrets.replace_pin(tx, present[name], verifier, now, remembered=remembered, provisional_until=until)
        else:
            secrets.put(tx, person_id, name, verifier, now, provisional_until=until)


def reset_pins(ports: Ports, *, bank: Bank, confirmation: Confirmation, user_id: str) -> IssuedPins:
    """Give a user who forgot a PIN new provisional ones (J10). Raises `UserUnknown`.

    Certificate and permit stay as they are. The PINs end with the permit that
    is open, or without one after as long as a permit would be. The user's
    sessions end: whoever is logged on has to know the new PINs.
    """
    now = ports.now()
    with ports.db.read() as tx:
        user = find_user(tx, confirmation.session.person, user_id)
    drawn = draw_pins(ports, user.who)

    def reset(tx: Connection, administrator: Person, actor: Actor) -> IssuedPins:
        present = people.hold(tx, find_user(tx, administrator.who, user_id).id)
        return reset_of(tx, present, drawn, actor, now=now, policy=bank.policy)

    return confirmed(ports, bank=bank, confirmation=confirmation, now=now, act=reset)


def reset_of(
    tx: Connection, person: Person, drawn: DrawnPins, actor: Actor, *, now: datetime, policy: Policy
) -> IssuedPins:
    """Set the PINs that were drawn for a person who is held, end their sessions, and tell them.

    The administrator of a contract that is not open yet gets what the
    contract was registered with: three PINs, of which none is provisional.
    The opening (開通確認) replaces them, and needs no mail address before.
    """
    permit = permits.latest(tx, person.id)
    is_open = permit is not None and permit.is_open(now)
    until = permit.expires_at if permit is not None and is_open else now + policy.acquisition_window
    opens = _OPENS in drawn.pins and person.contract_opened_at is None
    given = drawn if opens else _without_opening(drawn)
    put_pins(tx, person.id, given, remembered=policy.pins_remembered, now=now, until=None if opens else until)
    ended = sessions.end_of_people(tx, [person.id], SessionEnd.PIN_CHANGED, now)
    audit.add(tx, "pins-reset", actor, at=now, who=person.who, person_id=person.id, sessions_ended=ended)
    tell_both(tx, person, "pins-reset", now, until=until.isoformat())
    return IssuedPins(person.who, person.name, given.pins, until, acquires=is_open)


def _without_opening(drawn: DrawnPins) -> DrawnPins:
    """Return a person's two PINs: the contract was opened since they were drawn, if there was anything to open."""
    return DrawnPins({name: drawn.pins[name] for name in PINS}, {name: drawn.verifiers[name] for name in PINS})
