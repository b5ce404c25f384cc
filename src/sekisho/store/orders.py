"""Orders: every certificate that may exist, written before it is signed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from sekisho.domain.certificate import KeyHeld
from sekisho.domain.errors import KeyReused
from sekisho.domain.person import Kind
from sekisho.pki.profile import Order
from sekisho.store.tables import certificates, people
from sekisho.store.tables import orders as t

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Row


@dataclass(frozen=True, slots=True)
class PlacedOrder:
    """An order as it stands in the table: what is signed, for whom, and by what leave.

    `voided_at` is set where the leave was taken back before the certificate
    was stored; what the CA may have signed by then is stored as ended.
    """

    id: int
    person_id: int
    bank: str
    order: Order
    spki_sha256: bytes
    held: KeyHeld
    renews_id: int | None
    voided_at: datetime | None


def _placed(row: Row[Any]) -> PlacedOrder:
    return PlacedOrder(
        id=row.id,
        person_id=row.person_id,
        bank=row.bank,
        order=Order(
            kind=Kind(row.kind),
            common_name=row.common_name,
            serial=row.serial,
            spki=row.spki,
            not_before=row.not_before,
            not_after=row.not_after,
        ),
        spki_sha256=row.spki_sha256,
        held=KeyHeld(row.held),
        renews_id=row.renews_id,
        voided_at=row.voided_at,
    )


def place(
    tx: Connection,
    person_id: int,
    order: Order,
    *,
    spki_sha256: bytes,
    held: KeyHeld,
    now: datetime,
    permit_id: int | None = None,
    renews_id: int | None = None,
) -> PlacedOrder:
    """Write an order. Raises `KeyReused` where the key was ever certified, for anybody."""
    try:
        placed = tx.execute(
            insert(t)
            .values(
                person_id=person_id,
                permit_id=permit_id,
                renews_id=renews_id,
                kind=order.kind.value,
                common_name=order.common_name,
                serial=order.serial,
                spki_sha256=spki_sha256,
                spki=order.spki,
                not_before=order.not_before,
                not_after=order.not_after,
                held=held.value,
                ordered_at=now,
            )
            .returning(t.c.id)
        ).one()
    except IntegrityError as clash:
        if "spki_sha256" in str(clash.orig):
            raise KeyReused from clash
        raise
    return get(tx, placed.id)


def get(tx: Connection, order_id: int) -> PlacedOrder:
    """Return the order of that row."""
    return _placed(tx.execute(_select().where(t.c.id == order_id)).one())


def of_key(tx: Connection, spki_sha256: bytes) -> PlacedOrder | None:
    """Return the order that certifies this key, or None."""
    row = tx.execute(_select().where(t.c.spki_sha256 == spki_sha256)).one_or_none()
    return None if row is None else _placed(row)


def unfinished(tx: Connection, *, before: datetime, most: int) -> list[PlacedOrder]:
    """Return orders placed before a moment whose certificate is not stored, the oldest first."""
    rows = tx.execute(
        _select()
        .outerjoin(certificates, certificates.c.order_id == t.c.id)
        .where(certificates.c.id.is_(None), t.c.ordered_at < before)
        .order_by(t.c.id)
        .limit(most)
    )
    return [_placed(row) for row in rows]


def void_unfinished(tx: Connection, person_id: int, now: datetime) -> None:
    """Take the leave back from orders of the person whose certificate is not stored yet."""
    stored = select(certificates.c.id).where(certificates.c.order_id == t.c.id).exists()
    tx.execute(update(t).where(t.c.person_id == person_id, t.c.voided_at.is_(None), ~stored).values(voided_at=now))


def _select() -> Any:
    return select(t, people.c.bank).join(people, people.c.id == t.c.person_id)
