"""Whether a bank's service is open at this moment."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from sekisho.domain.errors import OutOfHours

if TYPE_CHECKING:
    from datetime import date, datetime

    from sekisho.domain.policy import Policy


def check_open(policy: Policy, now: datetime) -> None:
    """Raise `OutOfHours` outside the bank's service hours."""
    opens = opens_next(policy, now)
    if opens is not None:
        raise OutOfHours(opens=opens, seconds=int((opens - now).total_seconds()) + 1)


def opens_next(policy: Policy, now: datetime) -> datetime | None:
    """Return when the service opens again, or None where it is open."""
    return None if policy.service_hours is None else policy.service_hours.opens_next(now, is_bank_holiday)


def is_bank_holiday(day: date) -> bool:
    """Tell whether it is a national holiday of Japan, or one of 31 December to 3 January, when banks are closed."""
    return day in _holidays(day.year)


@cache
def _holidays(year: int) -> frozenset[date]:
    """Return a year's days. The package's own object fills itself while it is asked, in whichever thread that is."""
    import holidays

    return frozenset(holidays.country_holidays("JP", years=year, categories=(holidays.BANK, holidays.PUBLIC)))
