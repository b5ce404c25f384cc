"""Permits: leave to acquire one certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import case, insert, select, update

from sekisho.domain.errors import PermitSpent
from sekisho.domain.permit import Permit
from sekisho.domain.person import PersonId
from sekisho.store.tables import people
from sekisho.store.tables import permits as t

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Row


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


def grant(tx: Connection, person_id: int, *, now: datetime, expires_at: datetime) -> int:
    """Grant a permit and return its id."""
    row = tx.execute(
        insert(t).values(person_id=person_id, granted_at=now, expires_at=expires_at, misses=0).returning(t.c.id)
    ).one()
    permit_id: int = row.id
    return permit_id


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


def save_spent(tx: Connection, permit: Permit) -> None:
    """Write a spent permit, refusing if another request spent it first.

    The WHERE clause is the lock: of two racing requests one matches no row.
    """
    spent = tx.execute(
        update(t)
        .where(t.c.id == permit.id, t.c.spent_at.is_(None), t.c.withdrawn_at.is_(None))
        .values(spent_at=permit.spent_at)
    )
    if spent.rowcount != 1:
        raise PermitSpent(since=permit.spent_at)


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
