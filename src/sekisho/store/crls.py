"""The last revocation list of each issuing CA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import insert, select, update

from sekisho.store.tables import crls as t

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.person import Kind


@dataclass(frozen=True, slots=True)
class PublishedCrl:
    """A signed list with its number and dates."""

    number: int
    der: bytes
    this_update: datetime
    next_update: datetime


def find(tx: Connection, bank: str, kind: Kind) -> PublishedCrl | None:
    """Return the list in force, or None where none was signed yet."""
    row = tx.execute(select(t).where(t.c.bank == bank, t.c.kind == kind.value)).one_or_none()
    return None if row is None else PublishedCrl(row.number, row.der, row.this_update, row.next_update)


def save(tx: Connection, bank: str, kind: Kind, crl: PublishedCrl) -> bool:
    """Publish a list; False where one with this number or a higher one stands already."""
    values = {
        "number": crl.number,
        "der": crl.der,
        "this_update": crl.this_update,
        "next_update": crl.next_update,
    }
    newer = tx.execute(
        update(t).where(t.c.bank == bank, t.c.kind == kind.value, t.c.number < crl.number).values(**values)
    )
    if newer.rowcount == 1:
        return True
    if find(tx, bank, kind) is not None:
        return False
    tx.execute(insert(t).values(bank=bank, kind=kind.value, **values))
    return True
