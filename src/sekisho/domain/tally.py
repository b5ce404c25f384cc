"""What is counted for the overview of a bank, and by which hours and days of Japan."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from sekisho.domain.service_hours import JAPAN

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WEEK = timedelta(days=7)


class Tally(StrEnum):
    """What a count is of."""

    # By the hour in which it happened.
    LOGONS = "logons"
    ACQUISITIONS = "acquisitions"
    # By the day on which it happened.
    LOCKOUTS = "lockouts"
    # Certificates that nothing has ended, by the day on which they will end.
    ENDS = "ends"
    # Permits that wait, by the day on which they will end.
    PERMITS = "permits"
    # Doors that are shut now.
    USER_CLOSED = "user-closed"
    USER_STOPPED = "user-stopped"
    CONTRACT_CLOSED = "contract-closed"
    CONTRACT_STOPPED = "contract-stopped"


HAPPENED = (Tally.LOGONS, Tally.ACQUISITIONS, Tally.LOCKOUTS)
DOORS = (Tally.USER_CLOSED, Tally.USER_STOPPED, Tally.CONTRACT_CLOSED, Tally.CONTRACT_STOPPED)


def hour_of(at: datetime) -> datetime:
    """Return when the hour of `at` began."""
    return at.astimezone(JAPAN).replace(minute=0, second=0, microsecond=0)


def day_of(at: datetime) -> datetime:
    """Return when the day of `at` began in Japan."""
    return hour_of(at).replace(hour=0)


def week_of(at: datetime) -> datetime:
    """Return when the week of `at` began in Japan: on its Monday."""
    day = day_of(at)
    return day - day.weekday() * DAY
