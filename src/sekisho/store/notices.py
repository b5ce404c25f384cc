"""Notices: what a person is told. The inbox shows each row, and the same row is mailed once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, insert, literal, or_, select, update

from sekisho.store import bulk
from sekisho.store.bulk import OfMany
from sekisho.store.columns import Instant
from sekisho.store.tables import notices as t
from sekisho.store.tables import people, permits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice; `code` names its words, `detail` fills their placeholders."""

    id: int
    person_id: int
    at: datetime
    code: str
    detail: dict[str, Any]
    read_at: datetime | None


_MARK_MAILED = OfMany(
    lambda among: update(t).where(among(t.c.id, "rows"), t.c.mailed_at.is_(None)).values(mailed_at=bindparam("now"))
)


def add(tx: Connection, person_id: int, code: str, now: datetime, **detail: str | None) -> None:
    """Tell a person something, in the transaction that makes it true."""
    add_all(tx, [(person_id, detail)], code, now)


def add_all(tx: Connection, told: Sequence[tuple[int, dict[str, Any]]], code: str, now: datetime) -> None:
    """Tell many people the same, each (row, detail), in the transaction that makes it true."""
    bulk.add(tx, t, [{"person_id": i, "at": now, "code": code, "detail": detail} for i, detail in told])


def add_mailed(tx: Connection, person_id: int, code: str, now: datetime) -> int:
    """Put into the inbox what is mailed by itself, at once, and return the row."""
    row = tx.execute(
        insert(t).values(person_id=person_id, at=now, code=code, detail={}, mailed_at=now).returning(t.c.id)
    ).one()
    notice_id: int = row.id
    return notice_id


def tell_of_ended_permit(tx: Connection, person_id: int, now: datetime) -> None:
    """Tell a person, and their administrator, if wrong entries have just ended the person's permit.

    One statement, whether or not there is anything to tell: whoever watches
    how much work an entry makes learns nothing from it.
    """
    owner = people.alias("owner")
    ended = (
        select(people.c.id, literal(now, Instant), literal("permit-ended"), literal({}, t.c.detail.type))
        .join(owner, (owner.c.bank == people.c.bank) & (owner.c.contract_id == people.c.contract_id))
        .join(permits, permits.c.person_id == owner.c.id)
        .where(
            owner.c.id == person_id,
            permits.c.withdrawn_at == now,
            or_(people.c.id == owner.c.id, people.c.user_key == ""),
        )
    )
    tx.execute(insert(t).from_select(["person_id", "at", "code", "detail"], ended))


def of(tx: Connection, person_id: int, most: int) -> list[Notice]:
    """Return the person's newest notices, the newest first."""
    rows = tx.execute(select(t).where(t.c.person_id == person_id).order_by(t.c.id.desc()).limit(most))
    return [_notice(row) for row in rows]


def mark_read(tx: Connection, person_id: int, up_to: int, now: datetime) -> None:
    """Note that the person has seen their notices up to one."""
    tx.execute(update(t).where(t.c.person_id == person_id, t.c.id <= up_to, t.c.read_at.is_(None)).values(read_at=now))


def unmailed(tx: Connection, most: int) -> list[Notice]:
    """Return notices that were not mailed yet, the oldest first."""
    rows = tx.execute(select(t).where(t.c.mailed_at.is_(None)).order_by(t.c.id).limit(most))
    return [_notice(row) for row in rows]


def mark_mailed(tx: Connection, notice_ids: Sequence[int], now: datetime) -> None:
    """Note that notices are on their way."""
    _MARK_MAILED.run(tx, {"rows": list(notice_ids), "now": now})


def _notice(row: Any) -> Notice:
    return Notice(row.id, row.person_id, row.at, row.code, dict(row.detail), row.read_at)
