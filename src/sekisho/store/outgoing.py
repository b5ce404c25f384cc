"""How notices fare as mails: taken by one process for a while, then mailed, put off, given up or given back.

Whoever mails a notice takes its row first: a conditional UPDATE moves the
moment at which it is due to the end of a lease and counts the try. Nobody
else finds it due until then, and what a process that died has taken is due
again by itself. The count of tries names the lease: who has lost it changes
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import bindparam, select, update

from sekisho.domain.person import PersonId
from sekisho.store.bulk import OfMany
from sekisho.store.notices import Notice, from_row
from sekisho.store.tables import notices as t
from sekisho.store.tables import people

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

NO_ADDRESS = "no address"
_LONGEST_SAID = 300


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A notice that was taken to be mailed, for the so many-th time; `mail_to` as in `notices.add`."""

    notice: Notice
    mail_to: str | None
    tries: int


@dataclass(frozen=True, slots=True)
class Mailing:
    """How one notice's mail fares, for whoever looks after the installation."""

    id: int
    who: PersonId
    code: str
    at: datetime
    state: Literal["waiting", "given-up"]
    tries: int
    due_at: datetime | None
    given_up_at: datetime | None
    said: str | None


_TAKE = OfMany(
    lambda among: (
        update(t)
        .where(among(t.c.id, "rows"), t.c.mail_due_at <= bindparam("now"))
        .values(mail_due_at=bindparam("until"), mail_tries=t.c.mail_tries + 1)
        .returning(t)
    )
)
_LEAVE = OfMany(
    lambda among: (
        update(t)
        .where(
            among(t.c.id, "rows"),
            t.c.mail_tries == bindparam("tries"),
            t.c.mail_due_at.is_not(None),
            t.c.mailed_at.is_(None),
        )
        .values(mail_due_at=None, mail_said=NO_ADDRESS)
    )
)


def any_due(tx: Connection, now: datetime) -> bool:
    """Tell whether there is anything to mail."""
    return tx.execute(select(t.c.id).where(t.c.mail_due_at <= now).limit(1)).one_or_none() is not None


def take_due(tx: Connection, now: datetime, *, until: datetime, most: int) -> list[Outgoing]:
    """Take what is due, the longest due first, so that nobody else finds it due before `until`."""
    due = select(t.c.id).where(t.c.mail_due_at <= now).order_by(t.c.mail_due_at, t.c.id).limit(most)
    # Rows that another is just taking are not waited for. SQLite has one writer and needs no lock.
    rows = list(tx.scalars(due.with_for_update(skip_locked=True)))
    if not rows:
        return []
    taken = {row.id: row for row in _TAKE.run(tx, {"rows": rows, "now": now, "until": until})}
    return [Outgoing(from_row(taken[i]), taken[i].mail_to, taken[i].mail_tries) for i in rows if i in taken]


def mark_mailed(tx: Connection, notice_id: int, said: str, now: datetime) -> None:
    """Note that a mail server has taken the mail, whoever holds the row meanwhile: it is never tried again."""
    tx.execute(
        update(t)
        .where(t.c.id == notice_id, t.c.mailed_at.is_(None))
        .values(mailed_at=now, mail_due_at=None, mail_given_up_at=None, mail_said=said[:_LONGEST_SAID])
    )


def put_off(tx: Connection, one: Outgoing, until: datetime, said: str) -> None:
    """Have it tried again later."""
    _settle(tx, one, mail_due_at=until, mail_said=said[:_LONGEST_SAID])


def give_back(tx: Connection, taken: Sequence[Outgoing], now: datetime) -> None:
    """Undo the taking of what was not tried."""
    for one in taken:
        _settle(tx, one, mail_due_at=now, mail_tries=one.tries - 1)


def leave_unmailed(tx: Connection, taken: Sequence[Outgoing]) -> None:
    """Note that there is nowhere to mail them to; the inbox has them."""
    for tries in {one.tries for one in taken}:
        rows = [one.notice.id for one in taken if one.tries == tries]
        _LEAVE.run(tx, {"rows": rows, "tries": tries})


def give_up(tx: Connection, one: Outgoing, said: str, now: datetime) -> bool:
    """Note that it is not tried again; False where it is not ours to say any more."""
    return _settle(tx, one, mail_due_at=None, mail_given_up_at=now, mail_said=said[:_LONGEST_SAID])


def _settle(tx: Connection, one: Outgoing, **values: Any) -> bool:
    settled = tx.execute(
        update(t)
        .where(
            t.c.id == one.notice.id,
            t.c.mail_tries == one.tries,
            t.c.mail_due_at.is_not(None),
            t.c.mailed_at.is_(None),
        )
        .values(**values)
    )
    return settled.rowcount == 1


def listed(
    tx: Connection, *, given_up: bool, after: int = 0, most: int = 1000, notice_ids: Sequence[int] | None = None
) -> list[Mailing]:
    """Return mails that wait, or those that were given up, in the order of their notices."""
    wanted = t.c.mail_given_up_at.is_not(None) if given_up else t.c.mail_due_at.is_not(None)
    query = (
        select(t, people.c.bank, people.c.contract_id, people.c.user_id)
        .join(people, people.c.id == t.c.person_id)
        .where(wanted, t.c.id > after)
        .order_by(t.c.id)
        .limit(most)
    )
    if notice_ids is not None:
        query = query.where(t.c.id.in_(notice_ids))
    return [
        Mailing(
            id=row.id,
            who=PersonId(row.bank, row.contract_id, row.user_id),
            code=row.code,
            at=row.at,
            state="given-up" if given_up else "waiting",
            tries=row.mail_tries,
            due_at=row.mail_due_at,
            given_up_at=row.mail_given_up_at,
            said=row.mail_said,
        )
        for row in tx.execute(query)
    ]


def take_up_again(tx: Connection, notice_id: int, now: datetime) -> bool:
    """Have a mail that was given up tried again, from the first try on; False where it is not given up any more."""
    again = tx.execute(
        update(t)
        .where(t.c.id == notice_id, t.c.mail_given_up_at.is_not(None))
        .values(mail_given_up_at=None, mail_due_at=now, mail_tries=0)
    )
    return again.rowcount == 1
