"""What the overview shows: counts of a bank, or of one of its branches, as they were kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sekisho.domain.request_forms import FormState
from sekisho.domain.tally import DAY, DOORS, HOUR, WEEK, Tally, day_of, week_of
from sekisho.store import request_forms, tallies

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from sqlalchemy import Connection

    from sekisho.domain.staff import Staff
    from sekisho.usecases.ports import Ports

WEEKS, DAYS = 13, 14
# A permit that ends within so many days; the last group is the rest.
PERMIT_DAYS = (3, 7, 14)
# A form that waits for less than so many days; the last group is overdue.
FORM_DAYS = (1, 3, 5)
UNDER_WAY = (FormState.FILED, FormState.RECEIVED, FormState.SEAL_CHECKED, FormState.APPROVED)


@dataclass(frozen=True, slots=True)
class Overview:
    """Counts, each with what it is for. `added_until` and `counted_at` say how fresh they are, None before the first.

    `day` is the day whose hours `logons` and `acquisitions` tell, `before`
    and `after` lead to the days beside it where there are counts.
    """

    day: datetime
    before: datetime | None
    after: datetime | None
    added_until: datetime | None
    counted_at: datetime | None
    ends: Sequence[tuple[datetime, int]]
    permits: Sequence[int]
    lockouts: Sequence[tuple[datetime, int]]
    doors: Mapping[Tally, int]
    logons: Sequence[int]
    acquisitions: Sequence[int]
    forms: Mapping[FormState, Sequence[int]]


def read_overview(ports: Ports, *, staff: Staff, day: datetime | None = None) -> Overview:
    """Return the counts of whoever looks: those of their branch, or at the operations centre those of the bank.

    `day` is any moment of the day whose hours are asked for; today's, where it
    is None or nothing is kept of it.
    """
    now = ports.now()
    today = day_of(now)
    oldest = today - 90 * DAY
    shown = today if day is None or not oldest <= day_of(day) <= today else day_of(day)
    week, first = week_of(now), today - (DAYS - 1) * DAY
    with ports.db.read() as tx:

        def counted(what: Tally, since: datetime, every: timedelta, times: int) -> list[tuple[datetime, int]]:
            found = tallies.sums(tx, what, staff.bank, staff.branch, since, since + times * every)
            return _grouped(found, since, every, times)

        return Overview(
            day=shown,
            before=shown - DAY if shown > oldest else None,
            after=shown + DAY if shown < today else None,
            added_until=tallies.reached(tx, tallies.ADDED),
            counted_at=tallies.reached(tx, tallies.COUNTED),
            ends=counted(Tally.ENDS, week, WEEK, WEEKS),
            permits=_permits(tx, staff, today),
            lockouts=counted(Tally.LOCKOUTS, first, DAY, DAYS),
            doors=dict.fromkeys(DOORS, 0) | tallies.doors(tx, staff.bank, staff.branch),
            logons=[number for _, number in counted(Tally.LOGONS, shown, HOUR, 24)],
            acquisitions=[number for _, number in counted(Tally.ACQUISITIONS, shown, HOUR, 24)],
            forms=_forms(tx, staff, now),
        )


def _grouped(
    found: Mapping[datetime, int], since: datetime, every: timedelta, times: int
) -> list[tuple[datetime, int]]:
    numbers = [0] * times
    for at, number in found.items():
        numbers[(at - since) // every] += number
    return [(since + place * every, number) for place, number in enumerate(numbers)]


def _permits(tx: Connection, staff: Staff, today: datetime) -> list[int]:
    numbers = [0] * (len(PERMIT_DAYS) + 1)
    found = tallies.sums(tx, Tally.PERMITS, staff.bank, staff.branch, today - DAY, today + 1000 * DAY)
    for ends, number in found.items():
        days = (ends - today) // DAY
        numbers[sum(days > most for most in PERMIT_DAYS)] += number
    return numbers


def _forms(tx: Connection, staff: Staff, now: datetime) -> dict[FormState, list[int]]:
    numbers = {state: [0] * (len(FORM_DAYS) + 1) for state in UNDER_WAY}
    for state, group, number in request_forms.ages(tx, staff, [now - days * DAY for days in FORM_DAYS]):
        numbers[state][group] = number
    return numbers
