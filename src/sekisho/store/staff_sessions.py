"""Sessions of the bank's own people at the console."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from sekisho.domain.session import SessionEnd
from sekisho.domain.staff import StaffSession
from sekisho.store.bulk import OfMany
from sekisho.store.tables import staff_sessions as t

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

_REMOVE = OfMany(lambda among: delete(t).where(among(t.c.id, "rows")))


def open_session(
    tx: Connection, *, token_sha256: bytes, staff_row: int, certificate_id: int, address: str, now: datetime
) -> int:
    """Write a session and return its id."""
    row = tx.execute(
        insert(t)
        .values(
            token_sha256=token_sha256,
            holder_id=staff_row,
            certificate_id=certificate_id,
            address=address,
            opened_at=now,
            seen_at=now,
        )
        .returning(t.c.id)
    ).one()
    session_id: int = row.id
    return session_id


def of_token(tx: Connection, token_sha256: bytes) -> StaffSession | None:
    """Return the session of a cookie (SHA-256 of its token), ended or not, or None."""
    row = tx.execute(select(t).where(t.c.token_sha256 == token_sha256)).one_or_none()
    if row is None:
        return None
    return StaffSession(
        id=row.id,
        staff=row.holder_id,
        certificate_id=row.certificate_id,
        opened_at=row.opened_at,
        seen_at=row.seen_at,
        ended_at=row.ended_at,
        end=None if row.end is None else SessionEnd(row.end),
    )


def is_open(tx: Connection, session_id: int) -> bool:
    """Tell whether a session has not ended."""
    return tx.execute(select(t.c.id).where(t.c.id == session_id, t.c.ended_at.is_(None))).first() is not None


def touch(tx: Connection, session_id: int, now: datetime) -> None:
    """Note that somebody is there."""
    tx.execute(update(t).where(t.c.id == session_id, t.c.ended_at.is_(None)).values(seen_at=now))


def end(tx: Connection, session_id: int, why: SessionEnd, now: datetime) -> bool:
    """End one session; False where it had ended already."""
    ended = tx.execute(
        update(t).where(t.c.id == session_id, t.c.ended_at.is_(None)).values(ended_at=now, end=why.value)
    )
    return ended.rowcount == 1


def end_all(tx: Connection, staff_row: int, why: SessionEnd, now: datetime, *, but: int = 0) -> int:
    """End their open sessions, except one, and return how many ended."""
    return tx.execute(
        update(t)
        .where(t.c.holder_id == staff_row, t.c.ended_at.is_(None), t.c.id != but)
        .values(ended_at=now, end=why.value)
    ).rowcount


def remove_old(tx: Connection, opened_before: datetime, most: int) -> int:
    """Remove sessions for good, the oldest first, and return how many."""
    old = list(tx.scalars(select(t.c.id).where(t.c.opened_at < opened_before).order_by(t.c.opened_at).limit(most)))
    removed: int = _REMOVE.run(tx, {"rows": old}).rowcount if old else 0
    return removed
