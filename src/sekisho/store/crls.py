"""The last revocation list of each issuing CA, and of each shard of what it issued, by their names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import insert, select, update

from sekisho.store.tables import crls as t

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class PublishedList:
    """A signed list's number and dates. `lately` tells what had changed shortly before it (`crl_entries.lately`)."""

    number: int
    this_update: datetime
    next_update: datetime
    lately: bytes


_COLUMNS = (t.c.number, t.c.this_update, t.c.next_update, t.c.lately)


def find(tx: Connection, bank: str, name: str) -> PublishedList | None:
    """Return what is known of the list in force, or None where none was signed yet."""
    row = tx.execute(select(*_COLUMNS).where(t.c.bank == bank, t.c.name == name)).one_or_none()
    return None if row is None else PublishedList(*row)


def der_of(tx: Connection, bank: str, name: str, number: int) -> bytes | None:
    """Return the bytes of the list with that number, or None where another stands there."""
    der: bytes | None = tx.scalar(select(t.c.der).where(t.c.bank == bank, t.c.name == name, t.c.number == number))
    return der


def all_of(tx: Connection, bank: str) -> dict[str, PublishedList]:
    """Return what is known of every list that was ever published, by their names."""
    rows = tx.execute(select(t.c.name, *_COLUMNS).where(t.c.bank == bank))
    return {name: PublishedList(*values) for name, *values in rows}


def save(tx: Connection, bank: str, name: str, published: PublishedList, der: bytes) -> bool:
    """Publish a list; False where one with this number or a higher one stands already."""
    values = {
        "number": published.number,
        "der": der,
        "this_update": published.this_update,
        "next_update": published.next_update,
        "lately": published.lately,
    }
    newer = tx.execute(
        update(t).where(t.c.bank == bank, t.c.name == name, t.c.number < published.number).values(**values)
    )
    if newer.rowcount == 1:
        return True
    if find(tx, bank, name) is not None:
        return False
    tx.execute(insert(t).values(bank=bank, name=name, **values))
    return True
