"""A certificate replaced by its holder before its end (J8)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sekisho.domain.certificate import Ending, Reason
from sekisho.domain.errors import (
    ContractNotOpen,
    KeyReused,
    NotAccepted,
    PinsToReplace,
    Refusal,
    RenewalNotOpen,
    SigningRefused,
)
from sekisho.domain.person import PersonId
from sekisho.domain.secret import SecretName
from sekisho.store import audit, certificates, orders, people, secrets
from sekisho.store.orders import NewOrder
from sekisho.usecases.end_certificate import end_certificate
from sekisho.usecases.finish_order import finish_order
from sekisho.usecases.judge_entry import judge_entry
from sekisho.usecases.log_on import check_entry
from sekisho.usecases.place_orders import Request, order_of, request
from sekisho.usecases.show_certificate import show_certificate

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sekisho.domain.certificate import Certificate, IssuedCertificate, KeyHeld
    from sekisho.domain.contract import Bank
    from sekisho.domain.person import Kind
    from sekisho.pki.csr import Csr
    from sekisho.store.orders import PlacedOrder
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
    ports.compromised.check(csr.spki)
    check_entry(pin, "pin")
    show = partial(show_certificate, der=der, bank=bank.code, kind=kind, now=now, grace=bank.policy.grace)
    with ports.db.read() as tx:
        visitor = show(tx)
    if PersonId(bank.code, *named) != visitor.certificate.person:
        raise NotAccepted
    opens = visitor.certificate.not_after - bank.policy.renewal_window
    if now < opens:
        raise RenewalNotOpen(opens=opens)
    person, checked = visitor.person, visitor.secret
    person.check_door()
    if checked is None:
        raise RuntimeError("a person without a PIN")
    right = ports.pins.verify(checked.verifier, pin)
    actor = audit.actor_of(person.who, address)

    def judge_and_order(tx: Connection) -> PlacedOrder | Refusal:
        people.lock(tx, [person.id])
        present = show(tx)
        refusal = judge_entry(
            tx,
            present.person,
            present.secret or checked,
            checked=checked,
            right=right,
            policy=bank.policy,
            actor=actor,
            now=now,
        )
        if refusal is not None:
            return refusal
        if present.person.contract_opened_at is None:
            return ContractNotOpen()
        if checked.provisional_until is not None:
            return PinsToReplace()  # somebody else knows it
        secrets.clear_misses(tx, person.id, [SecretName.PIN])
        wanted = request(
            person.id,
            person.who,
            csr,
            held=held,
            actor=actor,
            life=bank.policy.certificate_life,
            now=now,
            entropy=ports.entropy,
            shards=bank.policy.crl_shards,
            generation=bank.policy.generation_for(person.who.kind),
        )
        return _order(tx, present.certificate, wanted)

    # A counted miss is told once it is committed.
    outcome = ports.db.write(judge_and_order)
    if isinstance(outcome, Refusal):
        raise outcome
    return finish_order(ports, outcome, actor=actor)


def _order(tx: Connection, present: Certificate, wanted: Request) -> PlacedOrder:
    """Order the renewal of `present`; a key that was ordered for it before gets its own order back."""
    before = orders.of_keys(tx, [wanted.csr.spki_sha256]).get(wanted.csr.spki_sha256)
    if before is not None:
        stored = certificates.issued_of_orders(tx, [before.id]).get(before.id)
        ended = before.voided_at is not None or (stored is not None and not stored.in_force(wanted.at))
        if before.renews_id != present.id or ended:
            raise KeyReused
        if before.refused_at is not None:
            raise SigningRefused
        return before
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
    )
    return placed
