"""Keep the counts that the overview shows. The worker does it; whoever serves a visitor writes no count."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, time
from typing import TYPE_CHECKING, Any

from sekisho.domain.service_hours import JAPAN
from sekisho.domain.tally import DAY, DOORS, HAPPENED, Tally, day_of, hour_of
from sekisho.store import tallies
from sekisho.usecases.serve_systems import SETTLED_AFTER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection, Row

    from sekisho.store.tallies import Cell
    from sekisho.usecases.ports import Ports

# For so long is kept what happened, and when certificates were to end. The audit rows keep all.
HAPPENED_KEPT = 93 * DAY
ENDS_KEPT = 14 * DAY
_ROWS_AT_ONCE = 5000
_STARTS = ("certificate-issued", "certificate-restored")
_ENDS = ("certificate-reissued", "certificate-superseded", "certificate-revoked")
_LOCKOUTS = ("user-suspended", "contract-closed")
_COUNTED = ("logged-on", *_LOCKOUTS, *_STARTS, *_ENDS)


def add_up(ports: Ports) -> int:
    """Add up some of the audit rows that were not counted yet, and return how many there were.

    They are the one record that every change leaves in its own transaction;
    so nothing is counted twice or left out, whatever stops in between. Rows
    of the last minute wait: one with a smaller number may still come.
    """
    now = ports.now()

    def run(tx: Connection) -> int:
        reached, before = tallies.hold(tx, tallies.ADDED)
        rows = _settled(
            tallies.told(tx, after=reached, most=_ROWS_AT_ONCE, counted=_COUNTED, of_certificates=(*_STARTS, *_ENDS)),
            now,
        )
        counts: Counter[Cell] = Counter()
        for row in rows:
            for cell, change in _changes(row, now):
                counts[cell] += change
        tallies.add(tx, counts)
        # Where all were counted, the counts tell of everything up to a minute ago.
        until = now - SETTLED_AFTER if len(rows) < _ROWS_AT_ONCE else rows[-1].at
        tallies.advance(
            tx, tallies.ADDED, rows[-1].id if rows else reached, max(until, before or until), first=before is None
        )
        return len(rows)

    return ports.db.write(run)


def count_waiting(ports: Ports) -> int:
    """Count anew which permits wait and whose door is shut, and return how many counts changed."""
    now = ports.now()

    def run(tx: Connection) -> int:
        _, before = tallies.hold(tx, tallies.COUNTED)
        counts: Counter[Cell] = Counter()
        for row in tallies.waiting_permits(tx, now):
            begins_at = datetime.combine(row.day, time(), JAPAN)
            counts[Tally.PERMITS, row.bank, begins_at, row.branch or ""] += row.number
        for row in tallies.shut_doors(tx):
            for door in _doors(row):
                counts[door, row.bank, datetime.fromtimestamp(0, JAPAN), row.branch or ""] += row.number
        changed = tallies.put(tx, (Tally.PERMITS, *DOORS), counts)
        tallies.advance(tx, tallies.COUNTED, 0, now, first=before is None)
        return changed

    return ports.db.write(run)


def remove_old_tallies(ports: Ports) -> int:
    """Remove some of the counts that no page shows any more, and return how many."""
    now = ports.now()

    def run(tx: Connection) -> int:
        removed = tallies.remove_old(tx, HAPPENED, now - HAPPENED_KEPT)
        return removed + tallies.remove_old(tx, [Tally.ENDS], now - ENDS_KEPT)

    return ports.db.write(run)


def _settled(rows: Sequence[Row[Any]], now: datetime) -> Sequence[Row[Any]]:
    for place, row in enumerate(rows):
        if row.at > now - SETTLED_AFTER:
            return rows[:place]
    return rows


def _changes(row: Row[Any], now: datetime) -> Iterator[tuple[Cell, int]]:
    """Yield what an audit row adds to which count."""
    # Of a contract that was removed since nothing is counted; nor is it looked at, so long ago did it end.
    if row.action not in _COUNTED or row.contract_id is None:
        return
    branch = row.branch or ""
    if row.not_after is not None and row.not_after > now - ENDS_KEPT:
        yield (Tally.ENDS, row.bank, day_of(row.not_after), branch), 1 if row.action in _STARTS else -1
    happened = _HAPPENED.get(row.action)
    if happened is Tally.ACQUISITIONS and row.renews_id is not None:
        return
    if happened is not None and row.at > now - HAPPENED_KEPT:
        began = day_of(row.at) if happened is Tally.LOCKOUTS else hour_of(row.at)
        yield (happened, row.bank, began, branch), 1


_HAPPENED = {
    "logged-on": Tally.LOGONS,
    "certificate-issued": Tally.ACQUISITIONS,
    **dict.fromkeys(_LOCKOUTS, Tally.LOCKOUTS),
}


def _doors(row: Row[Any]) -> Iterator[Tally]:
    if row.closed:
        yield Tally.USER_CLOSED if row.of_user else Tally.CONTRACT_CLOSED
    if row.stopped:
        yield Tally.USER_STOPPED if row.of_user else Tally.CONTRACT_STOPPED
