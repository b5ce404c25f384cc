"""The certificates of card makers, by bank; the one that was set last counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert, select, text

from sekisho.store.tables import card_makers as t

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection


def add(tx: Connection, bank: str, *, certificate: bytes, by: str, now: datetime) -> None:
    """Write down the certificate (PEM) that counts from now on."""
    tx.execute(insert(t).values(bank=bank, certificate=certificate.decode("ascii"), set_by=by, set_at=now))


def present(tx: Connection, bank: str) -> bytes | None:
    """Return the certificate (PEM) that counts, or None where none was ever set."""
    found = tx.scalar(select(t.c.certificate).where(t.c.bank == bank).order_by(t.c.id.desc()).limit(1))
    return None if found is None else str(found).encode("ascii")


def may_set(tx: Connection) -> bool:
    """Tell whether whoever uses this connection may set one: in PostgreSQL the tables' owner."""
    if tx.dialect.name != "postgresql":
        return True
    return bool(tx.scalar(text("SELECT has_table_privilege('card_makers', 'INSERT')")))
