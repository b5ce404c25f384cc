"""A certificate replaced by its holder before its end (J8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.certificate import Ending, Reason
from sekisho.domain.errors import KeyReused, NotAccepted, Refusal, RenewalNotOpen
from sekisho.domain.person import PersonId
from sekisho.domain.secret import SecretName
from sekisho.store import audit, certificates, orders, people, secrets
from sekisho.usecases.acquire_certificate import new_order
from sekisho.usecases.end_certificate import end_certificate
from sekisho.usecases.finish_order import finish_order
from sekisho.usecases.judge_entry import judge_entry
from sekisho.usecases.log_on import check_entry
from sekisho.usecases.show_certificate import show_certificate

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.certificate import Certificate, KeyHeld
    from sekisho.domain.contract import Bank, Person
    from sekisho.domain.person import Kind
    from sekisho.pki.csr import Csr
    from sekisho.store.audit import Actor
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
) -> Certificate:
    """Give the holder of a certificate in force a new one for a new key, inside the renewal window.

    The present one stays in force until the new one's first completed logon.
    The same key again gets the same bytes; another key takes the place of a
    renewal that was never used, whose key is lost then.
    """
    now = ports.now()
    check_entry(pin, "pin")
    with ports.db.read() as tx:
        present = show_certificate(tx, der, bank=bank.code, kind=kind, now=now)
        if PersonId(bank.code, *named) != present.person:
            raise NotAccepted
        opens = present.not_after - bank.policy.renewal_window
        if now < opens:
            raise RenewalNotOpen(opens=opens)
        person = people.find(tx, present.person)
        if person is None:
            raise RuntimeError("a certificate without a person")
        person.check_door()
        secret = secrets.of(tx, person.id, [SecretName.PIN])[SecretName.PIN]
    right = ports.pins.verify(secret.verifier, pin)
    actor = audit.actor_of(person.who, address)
    placed: PlacedOrder | None = None
    with ports.db.write() as tx:
        present = show_certificate(tx, der, bank=bank.code, kind=kind, now=now)
        refusal: Refusal | None = judge_entry(tx, person, secret, right=right, policy=bank.policy, actor=actor, now=now)
        if refusal is None:
            placed = _order(tx, ports, bank, person, present, csr, held=held, actor=actor, now=now)
            secrets.clear_misses(tx, person.id, [SecretName.PIN])
    if placed is None:
        raise refusal or RuntimeError("neither an order nor a refusal")
    return finish_order(ports, placed, actor=actor)


def _order(
    tx: Connection,
    ports: Ports,
    bank: Bank,
    person: Person,
    present: Certificate,
    csr: Csr,
    *,
    held: KeyHeld,
    actor: Actor,
    now: datetime,
) -> PlacedOrder:
    before = orders.of_key(tx, csr.spki_sha256)
    if before is not None:
        stored = certificates.of_order(tx, before.id)
        ended = before.voided_at is not None or (stored is not None and not stored.in_force(now))
        if before.renews_id != present.id or ended:
            raise KeyReused
        return before
    orders.void_unfinished(tx, person.id, now)
    for unused in certificates.successors(tx, present.id):
        end_certificate(tx, unused, ending=Ending.SUPERSEDED, reason=Reason.SUPERSEDED, actor=actor, now=now)
    placed = orders.place(
        tx,
        person.id,
        new_order(ports, bank, who=person.who, csr=csr, now=now),
        spki_sha256=csr.spki_sha256,
        held=held,
        now=now,
        renews_id=present.id,
    )
    audit.add(
        tx,
        "renewal-ordered",
        actor,
        at=now,
        who=person.who,
        person_id=person.id,
        serial=placed.order.serial,
        renews=f"{present.serial:032x}",
    )
    return placed
