"""Counts for the overview: how they are kept, and how they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Date, and_, cast, delete, func, insert, literal_column, select, text, true, update
from sqlalchemy.dialects import postgresql, sqlite

from sekisho.domain.tally import DOORS, Tally
from sekisho.store.tables import audit, banks, contracts, orders, people, permits
from sekisho.store.tables import tallies as t
from sekisho.store.tables import tally_places as places

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Row

    # What is counted, of which bank, of which hour or day, of which branch (empty: the centre's own).
    Cell = tuple[Tally, str, datetime, str]

ADDED, COUNTED = "added", "counted"
# Written out, as the indexes of the few have them: no engine finds an index of some rows by parameters.
_WAITS = text("permits.spent_at IS NULL AND permits.withdrawn_at IS NULL AND permits.expired_at IS NULL")
_SHUT = text("(people.closed_at IS NOT NULL OR people.stopped_at IS NOT NULL) AND people.deleted_at IS NULL")


def hold(tx: Connection, name: str) -> tuple[int, datetime | None]:
    """Return how far a count has come (0 and None before its first), and keep others from it until the end of `tx`."""
    row = tx.execute(select(places.c.reached_id, places.c.at).where(places.c.name == name).with_for_update())
    found = row.one_or_none()
    return (0, None) if found is None else (found.reached_id, found.at)


def reached(tx: Connection, name: str) -> datetime | None:
    """Return up to when a count tells what happened, or None before its first."""
    return tx.scalar(select(places.c.at).where(places.c.name == name))


def advance(tx: Connection, name: str, reached_id: int, at: datetime, *, first: bool) -> None:
    """Write how far a count has come now. Whoever asks holds it."""
    if first:
        tx.execute(insert(places).values(name=name, reached_id=reached_id, at=at))
    else:
        tx.execute(update(places).where(places.c.name == name).values(reached_id=reached_id, at=at))


def told(
    tx: Connection, *, after: int, most: int, counted: Sequence[str], of_certificates: Sequence[str]
) -> list[Row[Any]]:
    """Return audit rows in the order of their numbers, from after one on.

    Those whose action is `counted` come with their contract's `branch`, those
    `of_certificates` with the order's `not_after` and `renews_id`.
    """
    its_contract = and_(
        contracts.c.bank == audit.c.bank,
        contracts.c.contract_id == audit.c.contract_id,
        audit.c.action.in_(counted),
    )
    its_order = and_(orders.c.serial == audit.c.serial, audit.c.action.in_(of_certificates))
    query = (
        select(
            *(audit.c.id, audit.c.at, audit.c.action, audit.c.bank, contracts.c.branch),
            *(contracts.c.contract_id, orders.c.not_after, orders.c.renews_id),
        )
        .select_from(audit)
        .outerjoin(contracts, its_contract)
        .outerjoin(orders, its_order)
        .where(audit.c.id > after)
        .order_by(audit.c.id)
        .limit(most)
    )
    return list(tx.execute(query))


def add(tx: Connection, counts: Mapping[Cell, int]) -> None:
    """Add to counts."""
    made = [_row(cell, count) for cell, count in sorted(counts.items()) if count]
    if not made:
        return
    new = (postgresql if tx.dialect.name == "postgresql" else sqlite).insert(t)
    added = new.on_conflict_do_update(index_elements=t.primary_key, set_={"number": t.c.number + new.excluded.number})
    tx.execute(added, made)


def put(tx: Connection, whats: Sequence[Tally], counts: Mapping[Cell, int]) -> int:
    """Have the counts of `whats` be just these, and return how many that changed. What stays is not written."""
    stood = {
        (Tally(row.what), row.bank, row.begins_at, row.branch): row.number
        for row in tx.execute(select(t).where(t.c.what.in_(_written_out(whats))))
    }
    for cell in stood.keys() - counts.keys():
        tx.execute(delete(t).where(_is(cell)))
    for cell in stood.keys() & counts.keys():
        if stood[cell] != counts[cell]:
            tx.execute(update(t).where(_is(cell)).values(number=counts[cell]))
    new = [_row(cell, counts[cell]) for cell in sorted(counts.keys() - stood.keys())]
    if new:
        tx.execute(insert(t), new)
    return len(dict(set(stood.items()) ^ set(counts.items())))


def waiting_permits(tx: Connection, now: datetime) -> list[Row[Any]]:
    """Count permits that wait at `now`: `bank`, `branch`, `day` (a date in Japan), `number`."""
    day = _day_in_japan(tx, permits.c.expires_at).label("day")
    query = (
        select(people.c.bank, contracts.c.branch, day, func.count().label("number"))
        .select_from(permits)
        .join(people, people.c.id == permits.c.person_id)
        .join(contracts, _of_contract())
        .where(_WAITS, permits.c.expires_at > now)
        .group_by(people.c.bank, contracts.c.branch, day)
    )
    return list(tx.execute(query))


def shut_doors(tx: Connection) -> list[Row[Any]]:
    """Count whose door is shut: `bank`, `branch`, `of_user`, `closed`, `stopped`, `number`; no contract that ended."""
    seen = [
        # With nothing appended to it: else SQLite may read a million people in the order of their banks, to group them.
        (people.c.bank + literal_column("''")).label("bank"),
        contracts.c.branch,
        people.c.user_id.is_not(None).label("of_user"),
        people.c.closed_at.is_not(None).label("closed"),
        people.c.stopped_at.is_not(None).label("stopped"),
    ]
    # With nothing appended to it: so contracts are found by people and not the other way, in which SQLite would read a
    # million people in place of the few that the index of shut doors has.
    found_by = and_(contracts.c.bank == people.c.bank + "", contracts.c.contract_id == people.c.contract_id + "")
    query = (
        select(*seen, func.count().label("number"))
        .select_from(people)
        .join(contracts, found_by)
        .where(_SHUT, contracts.c.ended_at.is_(None))
        .group_by(*seen)
    )
    return list(tx.execute(query))


def sums(
    tx: Connection, what: Tally, bank: str, branch: str | None, since: datetime, until: datetime
) -> dict[datetime, int]:
    """Return counts by their hour or day, of one branch or (None) of the whole bank."""
    query = (
        select(t.c.begins_at, func.sum(t.c.number).label("number"))
        .where(
            t.c.what == what.value,
            t.c.bank == bank,
            t.c.begins_at >= since,
            t.c.begins_at < until,
            true() if branch is None else t.c.branch == branch,
        )
        .group_by(t.c.begins_at)
    )
    return {row.begins_at: int(row[1]) for row in tx.execute(query)}


def doors(tx: Connection, bank: str, branch: str | None) -> dict[Tally, int]:
    """Return how many doors of each kind are shut, of one branch or (None) of the whole bank."""
    query = (
        select(t.c.what, func.sum(t.c.number).label("number"))
        .where(
            t.c.what.in_(_written_out(DOORS)),
            t.c.bank == bank,
            true() if branch is None else t.c.branch == branch,
        )
        .group_by(t.c.what)
    )
    return {Tally(row.what): int(row[1]) for row in tx.execute(query)}


def remove_old(tx: Connection, whats: Sequence[Tally], before: datetime) -> int:
    """Remove the oldest hour or day of each count, where that began before a moment; return how many rows went."""
    removed = 0
    for bank in tx.scalars(select(banks.c.code)).all():
        for what in whats:
            its = and_(t.c.what == what.value, t.c.bank == bank)
            oldest = tx.scalar(select(t.c.begins_at).where(its).order_by(t.c.begins_at).limit(1))
            if oldest is not None and oldest < before:
                removed += tx.execute(delete(t).where(its, t.c.begins_at == oldest)).rowcount
    return removed


def _row(cell: Cell, count: int) -> dict[str, object]:
    what, bank, begins_at, branch = cell
    return {"what": what.value, "bank": bank, "begins_at": begins_at, "branch": branch, "number": count}


def _written_out(whats: Sequence[Tally]) -> list[ColumnElement[str]]:
    """Return them as words of the statement: by parameters an engine cannot tell the few rows from the many."""
    return [literal_column(f"'{what.value}'", t.c.what.type) for what in whats]


def _is(cell: Cell) -> ColumnElement[bool]:
    what, bank, begins_at, branch = cell
    return and_(t.c.what == what.value, t.c.bank == bank, t.c.begins_at == begins_at, t.c.branch == branch)


def _of_contract() -> ColumnElement[bool]:
    return and_(contracts.c.bank == people.c.bank, contracts.c.contract_id == people.c.contract_id)


def _day_in_japan(tx: Connection, moment: ColumnElement[Any]) -> ColumnElement[Any]:
    if tx.dialect.name == "sqlite":
        return func.date(moment, "+9 hours", type_=Date())
    return cast(func.timezone("Asia/Tokyo", moment), Date)
