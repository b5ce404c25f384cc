"""Orders: every certificate that may exist, written before it is signed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.exc import IntegrityError

from sekisho.domain.certificate import KeyHeld
from sekisho.domain.errors import KeyReused
from sekisho.domain.person import Kind, PersonId
from sekisho.pki.profile import Order
from sekisho.store import bulk
from sekisho.store.bulk import OfMany
from sekisho.store.tables import orders as t
from sekisho.store.tables import people

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row


@dataclass(frozen=True, slots=True)
class PlacedOrder:
    """An order as it stands in the table: what is signed, for whom, and by what leave.

    `voided_at` is set where the leave was taken back before the certificate
    was stored; what the CA may have signed by then is stored as ended.
    `finished_at` is when the certificate was stored, `refused_at` when the
    CA would not sign it: then nothing comes of it any more.
    """

    id: int
    person_id: int
    who: PersonId
    order: Order
    spki_sha256: bytes
    held: KeyHeld
    renews_id: int | None
    voided_at: datetime | None = None
    finished_at: datetime | None = None
    refused_at: datetime | None = None


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
        finished_at=row.finished_at,
        refused_at=row.refused_at,
    )


_SELECT = select(t, people.c.bank, people.c.contract_id, people.c.user_id).join(people, people.c.id == t.c.person_id)
# What every issuance runs is built once: building a statement costs more than running it.
_OF_KEYS = OfMany(lambda among: _SELECT.where(among(t.c.spki_sha256, "keys")))
_STANDING = OfMany(
    lambda among: select(t.c.id, t.c.voided_at, t.c.finished_at, t.c.refused_at).where(among(t.c.id, "rows"))
)
_FINISH = OfMany(lambda among: update(t).where(among(t.c.id, "rows")).values(finished_at=bindparam("now")))


def add(tx: Connection, new: Sequence[NewOrder], now: datetime) -> list[PlacedOrder]:
    """Write orders and return them in the same order.

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
        }
        for one in new
    ]
    try:
        ids = bulk.add_with_ids(tx, t, rows, by="serial")
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
        )
        for order_id, one in zip(ids, new, strict=True)
    ]


def of_keys(tx: Connection, keys: Sequence[bytes]) -> dict[bytes, PlacedOrder]:
    """Return the orders that certify these keys, by the key's SHA-256."""
    return {row.spki_sha256: _placed(row) for row in _OF_KEYS.run(tx, {"keys": list(keys)})}


@dataclass(frozen=True, slots=True)
class Standing:
    """What became of an order: whether its certificate is stored, and whether nothing may come of it any more.

    The latter is so where its leave was taken back, or the CA refused it, before that.
    """

    finished: bool
    voided: bool


def standing_of(tx: Connection, order_ids: Sequence[int]) -> dict[int, Standing]:
    """Return where orders stand, by their rows."""
    rows = _STANDING.run(tx, {"rows": list(order_ids)})
    return {
        row.id: Standing(row.finished_at is not None, row.voided_at is not None or row.refused_at is not None)
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


def finish(tx: Connection, order_ids: Sequence[int], now: datetime) -> None:
    """Note that the orders' certificates are stored."""
    _FINISH.run(tx, {"rows": list(order_ids), "now": now})


def unfinished(tx: Connection, *, before: datetime, most: int) -> list[PlacedOrder]:
    """Return orders placed before a moment whose certificate is not stored, the oldest first."""
    rows = tx.execute(
        _SELECT.where(t.c.finished_at.is_(None), t.c.refused_at.is_(None), t.c.ordered_at < before)
        .order_by(t.c.ordered_at, t.c.id)
        .limit(most)
    )
    return [_placed(row) for row in rows]


def refuse(tx: Connection, order_id: int, now: datetime) -> bool:
    """Note that the CA would not sign an order; False where that is known, or its certificate was stored meanwhile."""
    open_still = (t.c.id == order_id, t.c.finished_at.is_(None), t.c.refused_at.is_(None))
    return bool(tx.execute(update(t).where(*open_still).values(refused_at=now)).rowcount)


def refused(tx: Connection, *, after: int, most: int = 500) -> list[PlacedOrder]:
    """Return orders that the CA would not sign, in their order, some from after one on."""
    rows = tx.execute(_SELECT.where(t.c.refused_at.is_not(None), t.c.id > after).order_by(t.c.id).limit(most))
    return [_placed(row) for row in rows]


def void_unfinished(tx: Connection, person_id: int, now: datetime) -> None:
    """Take the leave back from orders of the person whose certificate is not stored yet."""
    tx.execute(
        update(t)
        .where(t.c.person_id == person_id, t.c.voided_at.is_(None), t.c.finished_at.is_(None))
        .values(voided_at=now)
    )
