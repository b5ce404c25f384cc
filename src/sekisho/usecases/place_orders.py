"""The first half of an issuance: permits are spent on orders, before anything is signed.

Written for many at once, since group commit brings many; one alone is a list
of one. Each is decided by itself, and one that is refused changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from sekisho.domain.errors import (
    CertificateSuspended,
    IssuingCaRevoked,
    KeyReused,
    PermitMissing,
    PermitSpent,
    Refusal,
    SigningRefused,
)
from sekisho.domain.issuing_ca import IssuingCa
from sekisho.pki.hierarchy import serial_number
from sekisho.pki.profile import BACKDATE, Order
from sekisho.store import audit, certificates, orders, permits, revoked_cas
from sekisho.store.orders import NewOrder, PlacedOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime, timedelta

    from sqlalchemy import Connection

    from sekisho.domain.certificate import IssuedCertificate, KeyHeld
    from sekisho.domain.contract import Bank, Person
    from sekisho.domain.permit import Permit
    from sekisho.domain.person import PersonId
    from sekisho.pki.csr import Csr
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports

    Key = TypeVar("Key")
    Given = TypeVar("Given")


@dataclass(frozen=True, slots=True)
class Request:
    """A person who may have a certificate for the key in `csr`, if there is a permit: who they are was judged before.

    `life` is how long the certificate will live from `at` on, `shards` in how
    many parts the revocation list is divided for what is issued now, and
    `generation` that of the issuing CA which signs it.
    """

    person_id: int
    who: PersonId
    csr: Csr
    held: KeyHeld
    actor: Actor
    life: timedelta
    serial: int
    at: datetime
    shards: int = 1
    generation: int = 1

    @property
    def issuing_ca(self) -> tuple[str, IssuingCa]:
        """Bank and issuing CA that signs it."""
        return self.who.bank, IssuingCa(self.who.kind, self.generation)


def request(
    person_id: int,
    who: PersonId,
    csr: Csr,
    *,
    held: KeyHeld,
    actor: Actor,
    life: timedelta,
    now: datetime,
    entropy: Callable[[int], bytes],
    shards: int = 1,
    generation: int = 1,
) -> Request:
    """Return a request, with the serial number that its certificate will have."""
    return Request(person_id, who, csr, held, actor, life, serial_number(now, entropy), now, shards, generation)


def request_of(
    ports: Ports, bank: Bank, person: Person, csr: Csr, *, held: KeyHeld, actor: Actor, now: datetime
) -> Request:
    """Return the request of a person of the bank, by the bank's rules as they are now."""
    return request(
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


def order_of(asked: Request) -> Order:
    """Return what decides the bytes of the certificate."""
    acquired = asked.at.replace(microsecond=0)
    return Order(
        kind=asked.who.kind,
        common_name=asked.who.common_name,
        serial=asked.serial,
        spki=asked.csr.spki,
        not_before=acquired - BACKDATE,
        not_after=acquired + asked.life,
        # Serial numbers end at random, so each shard gets its share.
        shard=asked.serial % asked.shards if asked.shards > 1 else None,
        generation=asked.generation,
    )


def place_orders(tx: Connection, requests: Sequence[Request]) -> list[PlacedOrder | Exception]:
    """Spend each person's permit on their key; the people are held by `tx`.

    A key that was ordered before gets its own order back until what came of
    it has ended, and spends nothing.
    """
    before = orders.of_keys(tx, [asked.csr.spki_sha256 for asked in requests])
    stored = certificates.issued_of_orders(tx, [placed.id for placed in before.values()]) if before else {}
    latest = permits.latest_of(tx, [asked.person_id for asked in requests])
    outcomes: list[PlacedOrder | Exception] = []
    wanted: dict[int, tuple[Request, Permit]] = {}
    for at, asked in enumerate(requests):
        placed = before.get(asked.csr.spki_sha256)
        if placed is not None:
            outcomes.append(_ordered_before(placed, stored.get(placed.id), asked))
            continue
        permit = latest.get(asked.person_id)
        try:
            if permit is None:
                raise PermitMissing
            wanted[at] = asked, permit.spend(asked.at)
            outcomes.append(PermitSpent(since=asked.at))  # unless it is spent on this one below
        except Refusal as refusal:
            outcomes.append(refusal)
    revoked = revoked_cas.among(tx, {asked.issuing_ca for asked, _ in wanted.values()})
    for at in [at for at, (asked, _) in wanted.items() if asked.issuing_ca in revoked]:
        outcomes[at] = IssuingCaRevoked()
        del wanted[at]
    for at, placed in _spend(tx, wanted).items():
        outcomes[at] = placed
    return outcomes


def what_came(placed: PlacedOrder, issued: IssuedCertificate | None, now: datetime) -> PlacedOrder | Refusal:
    """Return an order to whoever asks with its key again, or what there is to say of it.

    Clients throw a key away that they hear was used up (`KeyReused`), so that
    is told of nothing that may be in force again.
    """
    if placed.refused_at is not None and issued is None:
        return SigningRefused()
    if placed.voided_at is not None or (issued is not None and issued.gone(now)):
        return KeyReused()
    return CertificateSuspended() if issued is not None and issued.suspended_at is not None else placed


def _ordered_before(placed: PlacedOrder, issued: IssuedCertificate | None, asked: Request) -> PlacedOrder | Refusal:
    return what_came(placed, issued, asked.at) if placed.person_id == asked.person_id else KeyReused()


def _spend(tx: Connection, wanted: Mapping[int, tuple[Request, Permit]]) -> dict[int, PlacedOrder]:
    """Spend each permit on the first who wants it, and write the orders."""
    first: dict[int, int] = {}
    for at, (_, permit) in wanted.items():
        first.setdefault(permit.id, at)
    if not first:
        return {}
    now = max(asked.at for asked, _ in wanted.values())
    spent = permits.save_spent(tx, [wanted[at][1] for at in first.values()], now)
    served = sorted(at for permit_id, at in first.items() if permit_id in spent)
    new = [_new_order(*wanted[at]) for at in served]
    if not new:
        return {}
    audited = [
        audit.row(
            "certificate-ordered",
            asked.actor,
            at=asked.at,
            who=asked.who,
            person_id=asked.person_id,
            serial=asked.serial,
            permit=permit.id,
        )
        for asked, permit in (wanted[at] for at in served)
    ]
    return dict(zip(served, orders.add(tx, new, now, audited=audited), strict=True))


def _new_order(asked: Request, permit: Permit) -> NewOrder:
    return NewOrder(
        person_id=asked.person_id,
        who=asked.who,
        order=order_of(asked),
        spki_sha256=asked.csr.spki_sha256,
        held=asked.held,
        address=asked.actor.address,
        permit_id=permit.id,
    )
