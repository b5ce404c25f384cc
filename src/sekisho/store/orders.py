"""Orders: every certificate that may exist, written before it is signed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, delete, select, update
from sqlalchemy.exc import IntegrityError

from sekisho.domain.certificate import KeyHeld
from sekisho.domain.errors import KeyReused
from sekisho.domain.person import Kind, PersonId
from sekisho.pki.profile import Order
from sekisho.store import bulk
from sekisho.store.bulk import OfMany
from sekisho.store.tables import audit, people, unfinished_orders
from sekisho.store.tables import orders as t

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row


@dataclass(frozen=True, slots=True)
class PlacedOrder:
    """An order as it stands in the table: what is signed, for whom, and by what leave.

    `voided_at` is set where the leave was taken back before the certificate
    was stored; what the CA may have signed by then is stored as ended.
    `finished` tells that the certificate is stored, `refused_at` when the CA
    would not sign it: then nothing comes of it any more.
    """

    id: int
    person_id: int
    who: PersonId
    order: Order
    spki_sha256: bytes
    held: KeyHeld
    renews_id: int | None
    voided_at: datetime | None = None
    finished: bool = False
    refused_at: datetime | None = None
    unattended: bool = False


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order to be placed for a person: by a permit, or as the renewal of a certificate."""

    person_id: int
    who: PersonId
    order: Order
    spki_sha256: bytes
    held: KeyHeld
    address: str | None = None
    permit_id: int | None = None
    renews_id: int | None = None
    unattended: bool = False


def _placed(row: Row[Any]) -> PlacedOrder:
    return PlacedOrder(
        id=row.id,
        person_id=row.person_id,
        who=PersonId(row.bank, row.contract_id, row.user_id),
        order=Order(
            kind=Kind(row.kind),
            common_name=row.common_name,
            serial=row.serial,
            spki=row.spki,
            not_before=row.not_before,
            not_after=row.not_after,
            shard=row.shard,
            generation=row.generation,
        ),
        spki_sha256=row.spki_sha256,
        held=KeyHeld(row.held),
        renews_id=row.renews_id,
        voided_at=row.voided_at,
        finished=not row.unfinished and row.refused_at is None,
        refused_at=row.refused_at,
        unattended=row.unattended,
    )


_administrator = people.alias("administrator")
_UNFINISHED = unfinished_orders.c.order_id.is_not(None).label("unfinished")
_FROM = t.join(people, people.c.id == t.c.person_id).outerjoin(
    unfinished_orders, unfinished_orders.c.order_id == t.c.id
)
_SELECT = select(t, people.c.bank, people.c.contract_id, people.c.user_id, _UNFINISHED).select_from(_FROM)
# What every issuance runs is built once: building a statement costs more than running it.
_KNOWN_KEYS = OfMany(lambda among: select(t.c.spki_sha256).where(among(t.c.spki_sha256, "keys")))
_OF_KEYS = OfMany(lambda among: _SELECT.where(among(t.c.spki_sha256, "keys")))
_STANDING = OfMany(
    lambda among: (
        select(t.c.id, t.c.voided_at, t.c.refused_at, _UNFINISHED, _administrator.c.id.label("administrator_id"))
        .select_from(
            _FROM.join(
                _administrator,
                and_(
                    _administrator.c.bank == people.c.bank,
                    _administrator.c.contract_id == people.c.contract_id,
                    _administrator.c.user_key == "",
                ),
            )
        )
        .where(among(t.c.id, "rows"))
    )
)
_VOID_UNFINISHED = OfMany(
    lambda among: (
        update(t)
        .where(
            among(t.c.person_id, "people"),
            t.c.voided_at.is_(None),
            t.c.id.in_(select(unfinished_orders.c.order_id)),
        )
        .values(voided_at=bindparam("now"))
    )
)
_FINISH = OfMany(lambda among: delete(unfinished_orders).where(among(unfinished_orders.c.order_id, "rows")))


def add(
    tx: Connection, new: Sequence[NewOrder], now: datetime, *, audited: Sequence[Mapping[str, Any]] = ()
) -> list[PlacedOrder]:
    """Write orders, with rows of the audit trail about them, and return them in the same order.

    Raises `KeyReused` where a key was ever certified, for anybody: then none
    is written.
    """
    rows = [
        {
            "person_id": one.person_id,
            "permit_id": one.permit_id,
            "renews_id": one.renews_id,
            "kind": one.order.kind.value,
            "common_name": one.order.common_name,
            "serial": one.order.serial,
            "spki_sha256": one.spki_sha256,
            "spki": one.order.spki,
            "not_before": one.order.not_before,
            "not_after": one.order.not_after,
            "held": one.held.value,
            "address": one.address,
            "shard": one.order.shard,
            "generation": one.order.generation,
            "ordered_at": now,
            "unattended": one.unattended,
        }
        for one in new
    ]
    try:
        besides = [(audit, audited)] if audited else []
        ids = bulk.add_with_ids(tx, t, rows, by="serial", besides=besides, noted_in=unfinished_orders.c.order_id)
    except IntegrityError as clash:
        if "spki_sha256" in str(clash.orig):
            raise KeyReused from clash
        raise
    return [
        PlacedOrder(
            id=order_id,
            person_id=one.person_id,
            who=one.who,
            order=one.order,
            spki_sha256=one.spki_sha256,
            held=one.held,
            renews_id=one.renews_id,
            unattended=one.unattended,
        )
        for order_id, one in zip(ids, new, strict=True)
    ]


def of_keys(tx: Connection, keys: Sequence[bytes]) -> dict[bytes, PlacedOrder]:
    """Return the orders that certify these keys, by the key's SHA-256."""
    # Nearly every key is new, and two dozen columns of no row cost half of what the rows would.
    known = list(_KNOWN_KEYS.run(tx, {"keys": list(keys)}).scalars())
    return {row.spki_sha256: _placed(row) for row in _OF_KEYS.run(tx, {"keys": known})} if known else {}


@dataclass(frozen=True, slots=True)
class Standing:
    """What became of an order: whether it was finished or refused, and whether nothing may come of it any more.

    The latter is so where its leave was taken back, or the CA refused it,
    before its certificate was stored. `administrator_id` is the row of its
    person's administrator.
    """

    settled: bool
    voided: bool
    administrator_id: int


def standing_of(tx: Connection, order_ids: Sequence[int]) -> dict[int, Standing]:
    """Return where orders stand, by their rows."""
    rows = _STANDING.run(tx, {"rows": list(order_ids)})
    return {
        row.id: Standing(
            settled=not row.unfinished,
            voided=row.voided_at is not None or row.refused_at is not None,
            administrator_id=row.administrator_id,
        )
        for row in rows
    }


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a certificate was asked for, and what its holder calls that computer."""

    address: str | None
    computer: str | None


def origin_of(tx: Connection, order_id: int) -> Origin:
    """Return where the order was placed."""
    row = tx.execute(select(t.c.address, t.c.computer).where(t.c.id == order_id)).one()
    return Origin(row.address, row.computer)


def name_computer(tx: Connection, order_id: int, computer: str | None) -> None:
    """Note what the computer is called on which the certificate of an order is."""
    tx.execute(update(t).where(t.c.id == order_id).values(computer=computer))


def of_serial(tx: Connection, kind: Kind, serial: int) -> PlacedOrder | None:
    """Return the order with that serial number, or None."""
    row = tx.execute(_SELECT.where(t.c.kind == kind.value, t.c.serial == serial)).one_or_none()
    return None if row is None else _placed(row)


def finish(tx: Connection, order_ids: Sequence[int]) -> None:
    """Note that the orders' certificates are stored."""
    _FINISH.run(tx, {"rows": list(order_ids)})


def unfinished(tx: Connection, *, before: datetime, most: int) -> list[PlacedOrder]:
    """Return orders placed before a moment whose certificate is not stored, the oldest first."""
    oldest = select(unfinished_orders.c.order_id).order_by(unfinished_orders.c.order_id).limit(most)
    rows = tx.execute(_SELECT.where(t.c.id.in_(oldest.scalar_subquery()), t.c.ordered_at < before).order_by(t.c.id))
    return [_placed(row) for row in rows]


def refuse(tx: Connection, order_id: int, now: datetime) -> bool:
    """Note that the CA would not sign an order; False where that is known, or its certificate was stored meanwhile."""
    if not tx.execute(delete(unfinished_orders).where(unfinished_orders.c.order_id == order_id)).rowcount:
        return False
    tx.execute(update(t).where(t.c.id == order_id).values(refused_at=now))
    return True


def refused(tx: Connection, *, after: int, most: int = 500) -> list[PlacedOrder]:
    """Return orders that the CA would not sign, in their order, some from after one on."""
    rows = tx.execute(_SELECT.where(t.c.refused_at.is_not(None), t.c.id > after).order_by(t.c.id).limit(most))
    return [_placed(row) for row in rows]


def was_renewed(tx: Connection, person_id: int, certificate_id: int) -> bool:
    """Tell whether a renewal of the person's certificate was ever ordered."""
    found = tx.execute(select(t.c.id).where(t.c.person_id == person_id, t.c.renews_id == certificate_id).limit(1))
    return found.first() is not None


def void_unfinished(tx: Connection, person_ids: Sequence[int], now: datetime) -> int:
    """Take the leave back from orders of these people whose certificate is not stored yet; return from how many."""
    voided: int = _VOID_UNFINISHED.run(tx, {"people": list(person_ids), "now": now}).rowcount
    return voided
