"""A certificate replaced by its holder before its end (J8)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from sekisho.domain.certificate import Ending, KeyHeld, Reason
from sekisho.domain.errors import (
    ContractNotOpen,
    KeyReused,
    NotAccepted,
    PinsToReplace,
    Refusal,
    RenewalNeedsPin,
    RenewalNotOpen,
    SigningRefused,
)
from sekisho.domain.person import PersonId
from sekisho.domain.secret import SecretName
from sekisho.store import audit, certificates, orders, people, secrets
from sekisho.store.orders import NewOrder
from sekisho.usecases.end_certificate import end_certificate
from sekisho.usecases.finish_order import Unfinished, finish_orders
from sekisho.usecases.judge_entry import judge_entry
from sekisho.usecases.log_on import check_entry
from sekisho.usecases.place_orders import Request, order_of, request_of
from sekisho.usecases.service_hours import check_open
from sekisho.usecases.show_certificate import show_certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
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
    show = partial(show_certificate, der=der, bank=bank.code, kind=kind, now=now, grace=bank.policy.grace)
    with ports.db.read() as tx:
        visitor = show(tx)
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
    entry = _Entry(show, checked, right, bank.policy, wanted)
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
        placed = _order(tx, present.certificate, wanted, unattended=True)
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
    """A PIN that was checked against `checked`, and what it asks for; `show` judges the certificate anew."""

    show: Callable[[Connection], AtDoor]
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
    return [_judge_and_order(tx, one) for one in entries]


def _judge_and_order(tx: Connection, one: _Entry) -> PlacedOrder | Refusal:
    wanted = one.wanted
    try:
        present = one.show(tx)
    except Refusal as ended:
        return ended
    refusal = judge_entry(
        tx,
        present.person,
        present.secret or one.checked,
        checked=one.checked,
        right=one.right,
        policy=one.policy,
        actor=wanted.actor,
        now=wanted.at,
    )
    if refusal is not None:
        return refusal
    try:
        _check_person(present, one.checked)
    except Refusal as first:
        return first
    placed = _order(tx, present.certificate, wanted)
    if not isinstance(placed, Refusal):
        secrets.clear_misses(tx, wanted.person_id, [SecretName.PIN])
    return placed


def _order(tx: Connection, present: Certificate, wanted: Request, *, unattended: bool = False) -> PlacedOrder | Refusal:
    """Order the renewal of `present`; a key that was ordered for it before gets its own order back."""
    before = orders.of_keys(tx, [wanted.csr.spki_sha256]).get(wanted.csr.spki_sha256)
    if before is not None:
        stored = certificates.issued_of_orders(tx, [before.id]).get(before.id)
        ended = before.voided_at is not None or (stored is not None and not stored.in_force(wanted.at))
        if before.renews_id != present.id or ended:
            return KeyReused()
        if before.refused_at is not None:
            return SigningRefused()
        return before
    if unattended and orders.was_renewed(tx, wanted.person_id, present.id):
        return RenewalNeedsPin()
    orders.void_unfinished(tx, wanted.person_id, wanted.at)
    for unused in certificates.successors(tx, present.id):
        end_certificate(
            tx, unused, ending=Ending.SUPERSEDED, reason=Reason.SUPERSEDED, actor=wanted.actor, now=wanted.at
        )
    new = NewOrder(
        person_id=wanted.person_id,
        who=wanted.who,
        order=order_of(wanted),
        spki_sha256=wanted.csr.spki_sha256,
        held=wanted.held,
        address=wanted.actor.address,
        renews_id=present.id,
        unattended=unattended,
    )
    placed = orders.add(tx, [new], wanted.at)[0]
    audit.add(
        tx,
        "renewal-ordered",
        wanted.actor,
        at=wanted.at,
        who=wanted.who,
        person_id=wanted.person_id,
        serial=placed.order.serial,
        renews=f"{present.serial:032x}",
        **({"pin": "none"} if unattended else {}),
    )
    return placed
