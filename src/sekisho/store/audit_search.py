"""Audit rows as an auditor looks for them: by an index, and where that is not enough among so many rows at most."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, func, select, text, true

from sekisho.store.bulk import OfMany
from sekisho.store.tables import audit as t
from sekisho.store.tables.told import OF_STAFF, SELDOM

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Row, Select

_LOOKED_AT = 20_000
# A place is looked for no further than to so many rows.
_NEAR = 500
_AT_A_LOOK = 64
_AT = OfMany(lambda among: select(t.c.id, t.c.at).where(among(t.c.id, "ids")))
_LAST = 2**63 - 1
_OFTEN = frozenset(re.findall(r"'([a-z-]+)'", SELDOM))
# Written out, as the indexes have them: no engine finds an index of some rows by parameters.
_OF_STAFF, _SELDOM = text(OF_STAFF), text(SELDOM)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is looked for at a bank: from `since` until before `until`, by an actor, about a contract, an action.

    `first` and `last` bound the rows by number, and `before` is where a page begins.
    """

    bank: str
    since: datetime | None = None
    until: datetime | None = None
    actor: str | None = None
    contract_id: str | None = None
    action: str | None = None
    first: int = 0
    last: int = _LAST
    before: int | None = None


@dataclass(frozen=True, slots=True)
class FoundRows:
    """Rows, the newest first; `before` is where to go on, None where nothing is left to be looked at."""

    rows: Sequence[dict[str, Any]]
    before: int | None


def search(tx: Connection, asked: Asked, *, most: int) -> FoundRows:
    """Return rows by the index that leaves the fewest; where more than its condition is asked, among 20,000 of them."""
    leading, besides = _conditions(asked)
    here = (
        select(t)
        .where(
            leading,
            t.c.bank == asked.bank,
            t.c.id >= asked.first,
            t.c.id < min(asked.last, asked.before or _LAST),
            true() if asked.since is None else t.c.at >= asked.since,
            true() if asked.until is None else t.c.at < asked.until,
        )
        .order_by(t.c.id.desc())
    )
    if not besides:
        rows = _dicts(tx, here.limit(most + 1))
        return _page(rows, most) or FoundRows(rows, None)
    few = here.limit(_LOOKED_AT).subquery("looked_at")
    wanted = [few.c[name] == value for name, value in besides.items()]
    rows = _dicts(tx, select(few).where(*wanted).order_by(few.c.id.desc()).limit(most + 1))
    if page := _page(rows, most):
        return page
    looked_at, last = tx.execute(select(func.count(), func.min(few.c.id)).select_from(few)).one()
    return FoundRows(rows, last if looked_at == _LOOKED_AT else None)


def place_of(tx: Connection, moment: datetime) -> tuple[int, int]:
    """Return two numbers: rows before the first are earlier than `moment`, rows from the second on are not.

    That holds where rows stand in the order of their moments. They do but for
    a minute or so, and but for a clock that was set back: whoever asks leaves
    room for that. Each look is by the primary key and at many rows at once, since
    looks cost more than rows: three find a place among a hundred million.
    """
    # One for each end: asked for both at once, SQLite reads all rows.
    low, high = tx.scalar(select(func.min(t.c.id))), tx.scalar(select(func.max(t.c.id)))
    if low is None or high is None:
        return 0, _LAST
    high += 1
    while high - low > _NEAR:
        rows = _looked_at(tx, low, high)
        for row in rows:
            if row.at >= moment:
                high = row.id
                break
            low = row.id + 1
        if not rows:
            low, high = _halved(tx, low, high, moment)
    return low, high


def _looked_at(tx: Connection, low: int, high: int) -> Sequence[Row[Any]]:
    """Return rows after `low` and before `high` in their order, spread evenly; none where just these do not exist."""
    ids = [low + (high - low) * part // (_AT_A_LOOK + 1) for part in range(1, _AT_A_LOOK + 1)]
    return sorted(_AT.run(tx, {"ids": ids}), key=lambda row: int(row.id))


def _halved(tx: Connection, low: int, high: int, moment: datetime) -> tuple[int, int]:
    """Look at one row where many numbers were left out: whatever number follows the middle."""
    middle = (low + high) // 2
    row = tx.execute(select(t.c.id, t.c.at).where(t.c.id >= middle).order_by(t.c.id).limit(1)).one()
    return (row.id + 1, high) if row.at < moment else (low, middle)


def between(
    tx: Connection, bank: str, *, after: int, last: int, since: datetime | None, until: datetime, most: int
) -> list[dict[str, Any]]:
    """Return rows of a bank and a time in the order of their numbers, from after one on, up to before `last`."""
    query = (
        select(t)
        .where(t.c.id > after, t.c.id < last, t.c.bank == bank, t.c.at < until)
        .where(true() if since is None else t.c.at >= since)
        .order_by(t.c.id)
        .limit(most)
    )
    return _dicts(tx, query)


def of_action(tx: Connection, bank: str, action: str, *, most: int) -> list[dict[str, Any]]:
    """Return the newest rows of something that happens seldom."""
    query = select(t).where(t.c.bank == bank, t.c.action == action, _SELDOM).order_by(t.c.id.desc()).limit(most)
    return _dicts(tx, query)


def _conditions(asked: Asked) -> tuple[ColumnElement[bool], dict[str, str]]:
    """Return the condition whose index leaves the fewest rows, and what else is wanted, by column."""
    wanted = {"contract_id": asked.contract_id, "actor": asked.actor, "action": asked.action}
    besides = {name: value for name, value in wanted.items() if value is not None}
    if asked.contract_id is not None:
        return t.c.contract_id == besides.pop("contract_id"), besides
    if asked.actor is not None and asked.actor.startswith("staff:"):
        return and_(t.c.actor == besides.pop("actor"), _OF_STAFF), besides
    if asked.action is not None and asked.action not in _OFTEN:
        return and_(t.c.action == besides.pop("action"), _SELDOM), besides
    return true(), besides


def _page(rows: list[dict[str, Any]], most: int) -> FoundRows | None:
    """Return a page that another one follows, or None where there are no more rows than these."""
    return FoundRows(rows[:most], rows[most - 1]["id"]) if len(rows) > most else None


def _dicts(tx: Connection, query: Select[Any]) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in tx.execute(query)]  # noqa: SLF001 - SQLAlchemy's public name for it
