"""When a bank's service is open: a span of each weekday, and of bank holidays, in Japan's time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

JAPAN = timezone(timedelta(hours=9), "JST")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun", "holidays")
ALWAYS = "always"
_DAY_MINUTES = 24 * 60
_RULE = re.compile(r"(?P<days>[a-z,-]+) +(?:(?P<closed>closed)|(\d{1,2}):([0-5]\d)-(\d{1,2}):([0-5]\d))")
# No year has so many days in a row that are all holidays.
_LOOKED_AHEAD = 30


@dataclass(frozen=True, slots=True)
class Span:
    """From when until when, in minutes of the day; `closes` is 1440 for midnight."""

    opens: int
    closes: int

    @property
    def text(self) -> str:
        """The span as it is written: 7:00-23:00."""
        return "-".join(f"{minute // 60}:{minute % 60:02}" for minute in (self.opens, self.closes))


@dataclass(frozen=True, slots=True)
class ServiceHours:
    """The span of each of `DAYS`, None where it is closed all day. A holiday's counts before its weekday's."""

    spans: tuple[Span | None, ...]

    @property
    def text(self) -> str:
        """The hours as `read_hours` reads them, days of the same span together."""
        together: dict[str, list[str]] = {}
        for day, span in zip(DAYS, self.spans, strict=True):
            together.setdefault("closed" if span is None else span.text, []).append(day)
        return "; ".join(f"{','.join(days)} {span}" for span, days in together.items())

    def of(self, day: date, is_holiday: Callable[[date], bool]) -> Span | None:
        """Return the span of a day."""
        return self.spans[-1] if is_holiday(day) else self.spans[day.weekday()]

    def opens_next(self, now: datetime, is_holiday: Callable[[date], bool]) -> datetime | None:
        """Return the moment at which the service opens again, or None where it is open at `now` (aware)."""
        here = now.astimezone(JAPAN)
        for ahead in range(_LOOKED_AHEAD):
            day = here.date() + timedelta(days=ahead)
            span = self.of(day, is_holiday)
            if span is None:
                continue
            midnight = datetime.combine(day, time(), JAPAN)
            opens, closes = (midnight + timedelta(minutes=minute) for minute in (span.opens, span.closes))
            if here < opens:
                return opens
            if here < closes:
                return None
        raise RuntimeError("the service opens on no day of a month")


def read_hours(text: str) -> ServiceHours | None:
    """Return the hours that are written as "mon-fri 7:00-23:00; sat,sun,holidays 8:00-21:00", None for "always".

    A weekday that is not named is closed; where holidays are not named, they
    are as Sundays. Raises ValueError, in words.
    """
    written = text.strip().lower()
    if written == ALWAYS:
        return None
    spans: dict[str, Span | None] = {}
    for rule in written.split(";"):
        match = _RULE.fullmatch(rule.strip())
        if match is None:
            raise ValueError(f"{rule.strip()!r} is not like: mon-fri 7:00-23:00")
        span = None if match["closed"] else _span(*(int(part) for part in match.groups()[2:]))
        for day in _days(match["days"]):
            if day in spans:
                raise ValueError(f"{day} is named twice")
            spans[day] = span
    if not any(spans.get(day) for day in DAYS[:5]):
        raise ValueError("must be open on a day from Monday to Friday")
    spans.setdefault("holidays", spans.get("sun"))
    return ServiceHours(tuple(spans.get(day) for day in DAYS))


def _span(hour: int, minute: int, last_hour: int, last_minute: int) -> Span:
    span = Span(hour * 60 + minute, last_hour * 60 + last_minute)
    if not span.opens < span.closes <= _DAY_MINUTES:
        raise ValueError(f"{span.text} does not end later on the same day")
    return span


def _days(written: str) -> list[str]:
    found: list[str] = []
    for part in written.split(","):
        first, dash, last = part.partition("-")
        if first not in DAYS or (dash and last not in DAYS[:7]):
            raise ValueError(f"{part!r} is none of {', '.join(DAYS)}, nor a span of weekdays")
        begin, end = DAYS.index(first), DAYS.index(last if dash else first)
        if begin > end or (dash and first == "holidays"):
            raise ValueError(f"{part!r} goes backwards")
        found += DAYS[begin : end + 1]
    return found
