"""Permits: leave to acquire one certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, case, func, insert, select, update

from sekisho.domain.permit import Permit
from sekisho.domain.person import PersonId
from sekisho.store import bulk
from sekisho.store.bulk import OfMany
from sekisho.store.tables import people
from sekisho.store.tables import permits as t

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Row, Select


# What the work that nobody waits for looks at in one transaction.
_AT_ONCE = 200


def _permit(row: Row[Any]) -> Permit:
    return Permit(
        id=row.id,
        person=PersonId(row.bank, row.contract_id, row.user_id),
        granted_at=row.granted_at,
        expires_at=row.expires_at,
        spent_at=row.spent_at,
        withdrawn_at=row.withdrawn_at,
        misses=row.misses,
    )


# What every issuance runs is built once: building a statement costs more than running it.
_LATEST_OF = OfMany(
    lambda among: (
        select(t, people.c.bank, people.c.contract_id, people.c.user_id)
        .join(people, people.c.id == t.c.person_id)
        .where(t.c.id.in_(select(func.max(t.c.id)).where(among(t.c.person_id, "people")).group_by(t.c.person_id)))
    )
)
_SPEND = OfMany(
    lambda among: (
        update(t)
        .where(among(t.c.id, "permits"), t.c.spent_at.is_(None), t.c.withdrawn_at.is_(None))
        .values(spent_at=bindparam("now"))
        .returning(t.c.id)
    )
)


def grant(tx: Connection, person_id: int, *, now: datetime, expires_at: datetime) -> int:
    """Grant a permit and return its id."""
    row = tx.execute(
        insert(t).values(person_id=person_id, granted_at=now, expires_at=expires_at, misses=0).returning(t.c.id)
    ).one()
    permit_id: int = row.id
    return permit_id


def grant_all(tx: Connection, person_ids: Sequence[int], *, now: datetime, expires_at: datetime) -> list[int]:
    """Grant each of some people a permit and return their ids, in the people's order."""
    rows = [{"person_id": one, "granted_at": now, "expires_at": expires_at, "misses": 0} for one in person_ids]
    return bulk.add_with_ids(tx, t, rows, by="person_id") if rows else []


def latest(tx: Connection, person_id: int) -> Permit | None:
    """Return the person's last permit, in whatever state."""
    row = tx.execute(
        select(t, people.c.bank, people.c.contract_id, people.c.user_id)
        .join(people, people.c.id == t.c.person_id)
        .where(t.c.person_id == person_id)
        .order_by(t.c.id.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else _permit(row)


def latest_of(tx: Connection, person_ids: Sequence[int]) -> dict[int, Permit]:
    """Return the last permit of each person who ever had one, in whatever state, by the person's row."""
    rows = _LATEST_OF.run(tx, {"people": list(person_ids)})
    return {row.person_id: _permit(row) for row in rows}


def save_spent(tx: Connection, spent: Sequence[Permit], now: datetime) -> set[int]:
    """Write permits as spent at `now`, and return the rows of those that nobody else had spent or withdrawn.

    The WHERE clause is the lock: of two racing requests one matches no row.
    """
    return set(_SPEND.run(tx, {"permits": [permit.id for permit in spent], "now": now}).scalars())


def withdraw_open(tx: Connection, person_id: int, now: datetime) -> int:
    """Take back what the person could still spend; returns how many permits that were."""
    return tx.execute(
        update(t)
        .where(
            t.c.person_id == person_id,
            t.c.spent_at.is_(None),
            t.c.withdrawn_at.is_(None),
            t.c.expires_at > now,
        )
        .values(withdrawn_at=now)
    ).rowcount


def count_miss(tx: Connection, person_id: int, *, limit: int, now: datetime) -> int | None:
    """Count a miss against the person's open permit, end it at `limit`, and return the count.

    One statement whatever it meets: without an open permit it matches no row,
    counts nothing and returns None, and costs the same.
    """
    misses: int | None = tx.scalar(
        update(t)
        .where(
            t.c.person_id == person_id,
            t.c.spent_at.is_(None),
            t.c.withdrawn_at.is_(None),
            t.c.expires_at > now,
        )
        .values(misses=t.c.misses + 1, withdrawn_at=case((t.c.misses + 1 >= limit, now), else_=None))
        .returning(t.c.misses)
    )
    return misses


def open_of_contract(tx: Connection, bank: str, contract_id: str, now: datetime) -> list[Permit]:
    """Return the permits of a contract's people that can still be spent, the one that ends first first."""
    rows = tx.execute(
        select(t, people.c.bank, people.c.contract_id, people.c.user_id)
        .join(people, people.c.id == t.c.person_id)
        .where(
            people.c.bank == bank,
            people.c.contract_id == contract_id,
            t.c.spent_at.is_(None),
            t.c.withdrawn_at.is_(None),
            t.c.expires_at > now,
        )
        .order_by(t.c.expires_at)
    )
    return [_permit(row) for row in rows]


def of_contract(tx: Connection, bank: str, contract_id: str, most: int) -> list[Permit]:
    """Return the permits that a contract's people ever had, the newest first."""
    rows = tx.execute(
        select(t, people.c.bank, people.c.contract_id, people.c.user_id)
        .join(people, people.c.id == t.c.person_id)
        .where(people.c.bank == bank, people.c.contract_id == contract_id)
        .order_by(t.c.id.desc())
        .limit(most)
    )
    return [_permit(row) for row in rows]


def get(tx: Connection, permit_id: int) -> Permit:
    """Return the permit of that row."""
    row = tx.execute(
        select(t, people.c.bank, people.c.contract_id, people.c.user_id)
        .join(people, people.c.id == t.c.person_id)
        .where(t.c.id == permit_id)
    ).one()
    return _permit(row)


def ending_soon(tx: Connection, bank: str, *, now: datetime, until: datetime, granted_until: datetime) -> list[Permit]:
    """Return open permits that end until a moment and whose people were not reminded, of those granted until one."""
    rows = tx.execute(
        _open_ones(bank)
        .where(
            t.c.expires_at > now,
            t.c.expires_at <= until,
            t.c.granted_at <= granted_until,
            t.c.reminded_at.is_(None),
        )
        .limit(_AT_ONCE)
    )
    return [_permit(row) for row in rows]


def over(tx: Connection, bank: str, *, until: datetime) -> list[Permit]:
    """Return permits that nobody spent and that ended by time, until a moment, which nobody was told."""
    return [_permit(row) for row in tx.execute(_open_ones(bank).where(t.c.expires_at <= until).limit(_AT_ONCE))]


def mark_reminded(tx: Connection, permit_id: int, now: datetime) -> bool:
    """Note that the person was reminded; False where they were already, or there is nothing left to remind them of."""
    return _mark(tx, permit_id, t.c.reminded_at.is_(None), reminded_at=now)


def mark_expired(tx: Connection, permit_id: int, now: datetime) -> bool:
    """Note that an end by time was told; False where it was already, or something else ended it."""
    return _mark(tx, permit_id, t.c.expired_at.is_(None), expired_at=now)


def _mark(tx: Connection, permit_id: int, unmarked: ColumnElement[bool], **values: datetime) -> bool:
    marked = tx.execute(
        update(t)
        .where(t.c.id == permit_id, t.c.spent_at.is_(None), t.c.withdrawn_at.is_(None), unmarked)
        .values(**values)
    )
    return marked.rowcount == 1


def _open_ones(bank: str) -> Select[Any]:
    return (
        select(t, people.c.bank, people.c.contract_id, people.c.user_id)
        .join(people, people.c.id == t.c.person_id)
        .where(people.c.bank == bank, t.c.spent_at.is_(None), t.c.withdrawn_at.is_(None), t.c.expired_at.is_(None))
        .order_by(t.c.expires_at)
    )
