"""The person's new computer gets its certificate (J3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sekisho.domain.errors import KeyReused, NotAccepted, PermitMissing, Refusal
from sekisho.domain.person import PersonId, is_contract_id, is_user_id
from sekisho.domain.secret import LONGEST_ENTRY, SecretName, normal_form
from sekisho.pki.hierarchy import serial_number
from sekisho.pki.profile import BACKDATE, Order
from sekisho.store import audit, certificates, notices, orders, people, permits, secrets
from sekisho.store.audit import Actor
from sekisho.usecases.finish_order import finish_order

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.certificate import Certificate, KeyHeld
    from sekisho.domain.contract import Bank, Person
    from sekisho.pki.csr import Csr
    from sekisho.store.orders import PlacedOrder
    from sekisho.usecases.ports import Ports

# No row has this id: what is asked for nobody costs what it costs for somebody.
_NOBODY = 0
_PINS = (SecretName.PIN, SecretName.CONFIRMATION_PIN)


@dataclass(frozen=True, slots=True)
class Claim:
    """Who somebody without a certificate says they are, as it was typed; `user_id` is None for the administrator."""

    contract_id: str
    user_id: str | None
    pin: str
    confirmation_pin: str


def acquire_certificate(
    ports: Ports, *, bank: Bank, claim: Claim, csr: Csr, held: KeyHeld, address: str
) -> Certificate:
    """Spend the person's permit on the key in `csr` and return the certificate.

    Asking again with the same key returns the same bytes while that
    certificate is in force. The order is committed before the CA signs:
    after a crash the database names every certificate that may exist, so
    each one can be completed or revoked.

    Whatever is wrong with the claim, the answer is `NotAccepted` and the
    work the same: two argon2 checks and the same statements.
    """
    now = ports.now()
    who = _read_claim(bank.code, claim)
    with ports.db.read() as tx:
        person = people.find(tx, who)
        known = secrets.of(tx, _NOBODY if person is None else person.id, _PINS)
    right = _verify_both(ports, known, claim)

    with ports.db.write() as tx:
        outcome = _decide(
            tx, ports, bank, who, person, csr, right=right, known=known, held=held, address=address, now=now
        )
    if isinstance(outcome, Refusal):
        raise outcome
    return finish_order(ports, outcome, actor=audit.actor_of(who, address))


def _decide(
    tx: Connection,
    ports: Ports,
    bank: Bank,
    who: PersonId,
    person: Person | None,
    csr: Csr,
    *,
    right: bool,
    known: dict[SecretName, secrets.Secret],
    held: KeyHeld,
    address: str,
    now: datetime,
) -> PlacedOrder | Refusal:
    """Judge a claim that was checked against `known`, in the one transaction that spends or counts."""
    person_id = _NOBODY if person is None else person.id
    present = people.find(tx, who)
    same = secrets.of(tx, person_id, _PINS) == known or not right
    shut_by_misses = any(secret.misses >= bank.policy.misses_before_closed for secret in known.values())
    if not right or not same or present is None or not present.door_open or shut_by_misses:
        # A right entry never counts, whatever keeps it from taking effect.
        misses = permits.count_miss(
            tx, _NOBODY if right else person_id, limit=bank.policy.misses_before_closed, now=now
        )
        notices.tell_of_ended_permit(tx, person_id, now)
        actor = Actor("unknown", address)
        audit.add(tx, "acquisition-not-accepted", actor, at=now, who=who, person_id=person_id or None, misses=misses)
        return NotAccepted()
    before = orders.of_key(tx, csr.spki_sha256)
    if before is not None:
        return _ask_again(tx, before, person_id, now)
    permit = permits.latest(tx, person_id)
    try:
        if permit is None:
            return PermitMissing()
        spent = permit.spend(now)
        permits.save_spent(tx, spent)
    except Refusal as refusal:
        return refusal
    placed = orders.place(
        tx,
        person_id,
        new_order(ports, bank, who=present.who, csr=csr, now=now),
        spki_sha256=csr.spki_sha256,
        held=held,
        now=now,
        permit_id=permit.id,
    )
    audit.add(
        tx,
        "certificate-ordered",
        audit.actor_of(who, address),
        at=now,
        who=present.who,
        person_id=person_id,
        serial=placed.order.serial,
        permit=permit.id,
    )
    return placed


def _ask_again(tx: Connection, before: PlacedOrder, person_id: int, now: datetime) -> PlacedOrder | Refusal:
    """Give a key that was ordered for before its own order back, while what came of it is in force."""
    stored = certificates.of_order(tx, before.id)
    ended = before.voided_at is not None or (stored is not None and not stored.in_force(now))
    return KeyReused() if before.person_id != person_id or ended else before


def new_order(ports: Ports, bank: Bank, *, who: PersonId, csr: Csr, now: datetime) -> Order:
    """Return what decides the bytes of a new certificate for a person."""
    acquired = now.replace(microsecond=0)
    return Order(
        kind=who.kind,
        common_name=who.common_name,
        serial=serial_number(ports.entropy),
        spki=csr.spki,
        not_before=acquired - BACKDATE,
        not_after=acquired + bank.policy.certificate_life,
    )


def _read_claim(bank: str, claim: Claim) -> PersonId:
    """Return whom the claim names; what has not the form of an ID names nobody, and is not looked at further."""
    contract_id = normal_form(claim.contract_id).replace("-", "")
    user_id = None if claim.user_id is None else normal_form(claim.user_id)
    if not is_contract_id(contract_id) or (user_id is not None and not is_user_id(user_id)):
        return PersonId(bank, "", None if user_id is None else "")
    return PersonId(bank, contract_id, user_id)


def _verify_both(ports: Ports, known: dict[SecretName, secrets.Secret], claim: Claim) -> bool:
    """Check both PINs, always both, so that the time taken does not tell which was wrong."""
    entries = {SecretName.PIN: claim.pin, SecretName.CONFIRMATION_PIN: claim.confirmation_pin}
    right = True
    for name, entry in entries.items():
        secret = known.get(name)
        right &= ports.pins.verify(None if secret is None else secret.verifier, entry[: LONGEST_ENTRY + 1])
    return right
