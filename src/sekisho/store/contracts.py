"""Contracts as the bank's own people look for them: by ID, company, branch; each page goes on from the last key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, literal, select, tuple_

from sekisho.store.tables import contract_names
from sekisho.store.tables import contracts as t

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row, Select

# Stands behind every other character, so that it ends the range of what begins with something.
_LAST = "\U0010ffff"
_ID_DIGITS = 11


@dataclass(frozen=True, slots=True)
class Contract:
    """A company; `branch` is three digits, None for the operations centre."""

    bank: str
    contract_id: str
    name: str
    branch: str | None
    registered_at: datetime
    opened_at: datetime | None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """One that was found, and the place from which the search goes on after it."""

    contract: Contract
    place: str


@dataclass(frozen=True, slots=True)
class Search:
    """Where to look: `branch` limits it to one branch, `after` is the place of the last one seen, `most` how many."""

    bank: str
    branch: str | None
    after: str | None
    most: int


def find(tx: Connection, bank: str, contract_id: str) -> Contract | None:
    """Return the contract of that ID, or None."""
    row = tx.execute(select(t).where(t.c.bank == bank, t.c.contract_id == contract_id)).one_or_none()
    return None if row is None else _contract(row)


def of_ids(tx: Connection, bank: str, contract_ids: Sequence[str]) -> dict[str, Contract]:
    """Return those of many contracts that there are, by their IDs."""
    found = tx.execute(select(t).where(t.c.bank == bank, t.c.contract_id.in_(contract_ids)))
    return {row.contract_id: _contract(row) for row in found}


def by_id(tx: Connection, search: Search, digits: str) -> list[Found]:
    """Return contracts whose ID begins with these digits (none at all is every contract), in the order of IDs."""
    first = digits.ljust(_ID_DIGITS, "0")
    # One bound and never two: SQLite reads on from the first that it finds.
    goes_on = search.after is not None and search.after >= first
    query = select(t).where(
        t.c.bank == search.bank,
        t.c.contract_id > search.after if goes_on else t.c.contract_id >= first,
        t.c.contract_id <= digits.ljust(_ID_DIGITS, "9"),
    )
    if search.branch is not None:
        query = query.where(t.c.branch == search.branch)
    rows = tx.execute(query.order_by(t.c.contract_id).limit(search.most))
    return [Found(_contract(row), row.contract_id) for row in rows]


def by_name(tx: Connection, search: Search, key: str) -> list[Found]:
    """Return contracts one of whose folded names begins with `key`, in the order of names."""
    of = contract_names.c
    query: Select[Any] = (
        select(t, of.key)
        .join(contract_names, and_(of.bank == t.c.bank, of.contract_id == t.c.contract_id))
        .where(of.bank == search.bank, of.key < key + _LAST)
    )
    if search.branch is not None:
        query = query.where(of.branch == search.branch)
    last, _, contract_id = (search.after or "").rpartition(" ")
    # Key and ID are compared as one, by the index: many companies have the same name.
    goes_on = last >= key
    query = query.where(
        tuple_(of.key, of.contract_id) > tuple_(literal(last), literal(contract_id)) if goes_on else of.key >= key
    )
    rows = tx.execute(query.order_by(of.key, of.contract_id).limit(search.most))
    return [Found(_contract(row), f"{row.key} {row.contract_id}") for row in rows]


def _contract(row: Row[Any]) -> Contract:
    return Contract(row.bank, row.contract_id, row.name, row.branch, row.registered_at, row.opened_at, row.ended_at)
