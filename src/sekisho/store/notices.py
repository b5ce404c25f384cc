"""Notices: what a person is told. The inbox shows each row; how it is mailed: `sekisho.store.outgoing`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, insert, literal, or_, select, text, update

from sekisho.store import bulk
from sekisho.store.bulk import OfMany
from sekisho.store.columns import Instant
from sekisho.store.tables import notices as t
from sekisho.store.tables import people, permits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection


_TOLD_SINCE = OfMany(
    lambda among: select(t.c.person_id).where(
        among(t.c.person_id, "people"), t.c.code == bindparam("code"), t.c.at >= bindparam("since")
    )
)


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice; `code` names its words, `detail` fills their placeholders."""

    id: int
    person_id: int
    at: datetime
    code: str
    detail: dict[str, Any]
    read_at: datetime | None


def add(
    tx: Connection, person_id: int, code: str, now: datetime, *, mail_to: str | None = None, **detail: str | None
) -> None:
    """Tell a person something, in the transaction that makes it true.

    `mail_to` is where the mail goes in place of the person's own address: as
    when that one has just been changed.
    """
    add_all(tx, [(person_id, detail)], code, now, mail_to=mail_to)


def add_all(
    tx: Connection,
    told: Sequence[tuple[int, dict[str, Any]]],
    code: str,
    now: datetime,
    *,
    mail_to: str | None = None,
) -> None:
    """Tell many people the same, each (row, detail), in the transaction that makes it true."""
    bulk.add(tx, t, rows(told, code, now, mail_to=mail_to))


def rows(
    told: Sequence[tuple[int, dict[str, Any]]], code: str, now: datetime, *, mail_to: str | None = None
) -> list[dict[str, Any]]:
    """Return what `add_all` writes."""
    same = {"at": now, "code": code, "mail_to": mail_to, "mail_due_at": now}
    return [{"person_id": i, "detail": detail, **same} for i, detail in told]


def add_mailed(tx: Connection, person_id: int, code: str, now: datetime) -> int:
    """Put into the inbox what is mailed by itself, at once, and return the row."""
    row = tx.execute(
        insert(t).values(person_id=person_id, at=now, code=code, detail={}, mailed_at=now).returning(t.c.id)
    ).one()
    notice_id: int = row.id
    return notice_id


def told_since(tx: Connection, person_ids: Sequence[int], code: str, since: datetime) -> set[int]:
    """Return who of these people was told something since a moment."""
    rows = _TOLD_SINCE.run(tx, {"people": list(person_ids), "code": code, "since": since})
    return {row.person_id for row in rows}


def tell_of_ended_permit(tx: Connection, person_id: int, now: datetime) -> None:
    """Tell a person, and their administrator, if wrong entries have just ended the person's permit.

    One statement, whether or not there is anything to tell: whoever watches
    how much work an entry makes learns nothing from it.
    """
    owner = people.alias("owner")
    at = literal(now, Instant)
    of_pairs = func.json_build_object if tx.dialect.name == "postgresql" else func.json_object
    # The driver cannot tell a placeholder's type here, so the name is written out.
    detail = of_pairs(text("'user_id'"), owner.c.user_id, type_=t.c.detail.type)
    ended = (
        select(people.c.id, at, literal("permit-ended"), detail, at)
        .join(owner, (owner.c.bank == people.c.bank) & (owner.c.contract_id == people.c.contract_id))
        .join(permits, permits.c.person_id == owner.c.id)
        .where(
            owner.c.id == person_id,
            permits.c.withdrawn_at == now,
            or_(people.c.id == owner.c.id, people.c.user_key == ""),
        )
    )
    tx.execute(insert(t).from_select(["person_id", "at", "code", "detail", "mail_due_at"], ended))


def tell_of_guesses(tx: Connection, person_id: int, now: datetime) -> None:
    """Put into a person's inbox that somebody guesses their PINs; nobody's costs the same one statement."""
    told = select(people.c.id, literal(now, Instant), literal("pins-guessed"), literal({}, t.c.detail.type))
    tx.execute(insert(t).from_select(["person_id", "at", "code", "detail"], told.where(people.c.id == person_id)))


def of(tx: Connection, person_id: int, most: int) -> list[Notice]:
    """Return the person's newest notices, the newest first."""
    rows = tx.execute(select(t).where(t.c.person_id == person_id).order_by(t.c.id.desc()).limit(most))
    return [from_row(row) for row in rows]


def newest(tx: Connection, person_id: int, most: int) -> tuple[list[Notice], int]:
    """Return the person's newest notices, the newest first, and how many of all were not read yet."""
    count = select(func.count()).where(t.c.person_id == person_id, t.c.read_at.is_(None))
    query = select(t, count.scalar_subquery().label("unread"))
    rows = tx.execute(query.where(t.c.person_id == person_id).order_by(t.c.id.desc()).limit(most)).all()
    return [from_row(row) for row in rows], rows[0].unread if rows else 0


def mark_read(tx: Connection, person_id: int, up_to: int, now: datetime) -> None:
    """Note that the person has seen their notices up to one."""
    tx.execute(update(t).where(t.c.person_id == person_id, t.c.id <= up_to, t.c.read_at.is_(None)).values(read_at=now))


def from_row(row: Any) -> Notice:
    """Return the notice of a row of the table."""
    return Notice(row.id, row.person_id, row.at, row.code, dict(row.detail), row.read_at)
