"""A certificate replaced by its holder before its end (J8)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from sekisho.domain.certificate import KeyHeld
from sekisho.domain.errors import (
    ContractNotOpen,
    NotAccepted,
    PinsToReplace,
    Refusal,
    RenewalNeedsPin,
    RenewalNotOpen,
)
from sekisho.domain.person import PersonId
from sekisho.domain.secret import SecretName
from sekisho.store import audit, doors, people, secrets
from sekisho.usecases.finish_order import Unfinished, finish_orders
from sekisho.usecases.judge_entry import judge_entry
from sekisho.usecases.log_on import check_entry
from sekisho.usecases.place_orders import Request, request_of
from sekisho.usecases.place_renewals import place_renewals
from sekisho.usecases.service_hours import check_open
from sekisho.usecases.show_certificate import judge_shown, show_certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.certificate import Certificate, IssuedCertificate
    from sekisho.domain.contract import Bank
    from sekisho.domain.person import Kind
    from sekisho.domain.policy import Policy
    from sekisho.pki.csr import Csr
    from sekisho.store.doors import AtDoor
    from sekisho.store.orders import PlacedOrder
    from sekisho.store.secrets import Secret
    from sekisho.usecases.ports import Ports


def renew_certificate(
    ports: Ports,
    *,
    bank: Bank,
    kind: Kind,
    der: bytes | None,
    named: tuple[str, str | None],
    pin: str,
    csr: Csr,
    held: KeyHeld,
    address: str,
) -> IssuedCertificate:
    """Give the holder of a certificate in force a new one for a new key, inside the renewal window.

    The present one stays in force until the new one's first completed logon.
    Where the bank sets a grace period, the window is open that much longer.
    The same key again gets the same bytes; another key takes the place of a
    renewal that was never used, whose key is lost then.
    """
    now = ports.now()
    check_open(bank.policy, now)
    ports.compromised.check(csr.spki)
    check_entry(pin, "pin")
    with ports.db.read() as tx:
        visitor = show_certificate(tx, der, bank=bank.code, kind=kind, now=now, grace=bank.policy.grace)
    if PersonId(bank.code, *named) != visitor.certificate.person:
        raise NotAccepted
    _check_window(visitor.certificate, bank.policy, now)
    person, checked = visitor.person, visitor.secret
    person.check_door()
    if checked is None:
        raise RuntimeError("a person without a PIN")
    right = ports.pins.verify(checked.verifier, pin)
    actor = audit.actor_of(person.who, address)
    wanted = request_of(ports, bank, person, csr, held=held, actor=actor, now=now)
    shown = partial(judge_shown, bank=bank.code, kind=kind, now=now, grace=bank.policy.grace)
    entry = _Entry(visitor.certificate.fingerprint, shown, checked, right, bank.policy, wanted)
    if right:
        return ports.crowd.serve(_renew, ports, entry)
    # A counted miss has a transaction of its own, and is told once it is committed.
    (outcome,) = ports.db.write(lambda tx: _place(tx, [entry]))
    raise outcome if isinstance(outcome, Exception) else RuntimeError("a wrong PIN was let through")


def renew_unattended(
    ports: Ports, *, bank: Bank, kind: Kind, der: bytes | None, csr: Csr, held: KeyHeld, address: str
) -> IssuedCertificate:
    """Renew as `renew_certificate` does, without a PIN, where the bank allows it.

    Once for each certificate, and only from a key that cannot be copied to
    another. What comes of it opens no door before its person has logged on
    once more with the present one.
    """
    now = ports.now()
    if not bank.policy.renewal_without_pin:
        raise NotAccepted
    check_open(bank.policy, now)
    ports.compromised.check(csr.spki)
    show = partial(show_certificate, der=der, bank=bank.code, kind=kind, now=now)
    with ports.db.read() as tx:
        visitor = show(tx)
    _check_window(visitor.certificate, bank.policy, now)
    person = visitor.person
    person.check_door()
    if KeyHeld.FILE in {held, visitor.certificate.held}:
        raise RenewalNeedsPin
    actor = audit.actor_of(person.who, address)
    wanted = request_of(ports, bank, person, csr, held=held, actor=actor, now=now)

    def place(tx: Connection) -> PlacedOrder:
        people.lock(tx, [person.id])
        present = show(tx)
        present.person.check_door()
        _check_person(present, present.secret)
        (placed,) = place_renewals(tx, [(present.certificate, wanted)], unattended=True)
        if isinstance(placed, Refusal):
            raise placed
        return placed

    (outcome,) = finish_orders(ports, [Unfinished(ports.db.write(place), actor)])
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _check_window(certificate: Certificate, policy: Policy, now: datetime) -> None:
    opens = certificate.not_after - policy.renewal_window
    if now < opens:
        raise RenewalNotOpen(opens=opens)


def _check_person(present: AtDoor, secret: Secret | None) -> None:
    """Raise where the person has to do something else first."""
    if present.person.contract_opened_at is None:
        raise ContractNotOpen
    if secret is None or secret.provisional_until is not None:
        raise PinsToReplace  # somebody else knows it


@dataclass(frozen=True, slots=True)
class _Entry:
    """A PIN that was checked against `checked`, and what it asks for.

    `shown` judges what is found of the certificate.
    """

    fingerprint: bytes
    shown: Callable[[AtDoor | None], AtDoor]
    checked: Secret
    right: bool
    policy: Policy
    wanted: Request


def _renew(ports: Ports, entries: Sequence[_Entry]) -> list[IssuedCertificate | Exception]:
    """Renew for all who came at once: tx 1 places their orders, the CA signs them, tx 2 stores what it signed."""
    placed = ports.db.write_all(_place, entries)
    ordered = [
        Unfinished(order, one.wanted.actor)
        for one, order in zip(entries, placed, strict=True)
        if not isinstance(order, Exception)
    ]
    issued = iter(finish_orders(ports, ordered))
    return [order if isinstance(order, Exception) else next(issued) for order in placed]


def _place(tx: Connection, entries: Sequence[_Entry]) -> list[PlacedOrder | Exception]:
    """Judge each entry, and place the orders of those whose PIN was right."""
    people.lock(tx, [one.wanted.person_id for one in entries])
    outcomes: dict[int, PlacedOrder | Exception] = {}
    for some in _apart(entries):
        placed = _judge_and_order(tx, [entries[at] for at in some])
        outcomes |= zip(some, placed, strict=True)
    return [outcomes[at] for at in range(len(entries))]


def _apart(entries: Sequence[_Entry]) -> Iterator[list[int]]:
    """Divide entries, by their places, so that no two together are of one person or one key: one follows the other."""
    rest = list(range(len(entries)))
    while rest:
        seen: set[int | bytes] = set()
        some: list[int] = []
        later: list[int] = []
        for at in rest:
            wanted = entries[at].wanted
            (later if {wanted.person_id, wanted.csr.spki_sha256} & seen else some).append(at)
            seen |= {wanted.person_id, wanted.csr.spki_sha256}
        yield some
        rest = later


def _judge_and_order(tx: Connection, entries: Sequence[_Entry]) -> list[PlacedOrder | Exception]:
    visitors = doors.of_fingerprints(tx, [one.fingerprint for one in entries], SecretName.PIN)
    outcomes: list[PlacedOrder | Exception | None] = []
    good: list[tuple[Certificate, Request]] = []
    for one in entries:
        try:
            present = one.shown(visitors.get(one.fingerprint))
            refusal = _judge(tx, present, one)
            if refusal is None:
                good.append((present.certificate, one.wanted))
        except Refusal as first:
            refusal = first
        outcomes.append(refusal)
    placed = place_renewals(tx, good)
    renewed = [one.person_id for one in placed if not isinstance(one, Refusal)]
    if renewed:
        secrets.clear_misses(tx, renewed, [SecretName.PIN])
    ordered = iter(placed)
    return [next(ordered) if outcome is None else outcome for outcome in outcomes]


def _judge(tx: Connection, present: AtDoor, one: _Entry) -> Refusal | None:
    """Return what keeps an entry from taking effect; what is raised is not counted."""
    refusal = judge_entry(
        tx,
        present.person,
        present.secret or one.checked,
        checked=one.checked,
        right=one.right,
        policy=one.policy,
        actor=one.wanted.actor,
        now=one.wanted.at,
    )
    if refusal is None:
        _check_person(present, one.checked)
    return refusal
