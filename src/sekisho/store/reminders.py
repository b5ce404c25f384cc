"""How far each reminder has come among a bank's certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert, select, update

from sekisho.store.tables import reminders as t

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    # A place in the order of ends: when a certificate ends, and its row.
    Place = tuple[datetime, int]


def reached(tx: Connection, bank: str, days: int, *, held: bool) -> Place | None:
    """Return how far the reminder has come, or None before its first run; `held` keeps others away until the end."""
    query = select(t.c.reached_at, t.c.reached_id).where(t.c.bank == bank, t.c.days == days)
    row = tx.execute(query.with_for_update() if held else query).one_or_none()
    return None if row is None else (row.reached_at, row.reached_id)


def begin(tx: Connection, bank: str, days: int, place: Place) -> None:
    """Write the first place."""
    tx.execute(insert(t).values(bank=bank, days=days, reached_at=place[0], reached_id=place[1]))


def advance(tx: Connection, bank: str, days: int, place: Place) -> None:
    """Write how far it has come now."""
    tx.execute(update(t).where(t.c.bank == bank, t.c.days == days).values(reached_at=place[0], reached_id=place[1]))
