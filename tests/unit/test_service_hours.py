"""When a bank's service is open."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.domain.policy import Policy, RuleOutOfBounds, with_rules, written_hours
from sekisho.domain.service_hours import DAYS, JAPAN, ServiceHours, Span, read_hours
from sekisho.usecases.service_hours import is_bank_holiday

HOURS = "mon-fri 7:00-23:00; sat,sun,holidays 8:00-21:00"
minutes = st.integers(0, 24 * 60)
some = st.lists(minutes, min_size=2, max_size=2, unique=True).map(lambda two: Span(*sorted(two)))
spans = st.none() | some
hours = st.tuples(some, *[spans] * 7).map(ServiceHours)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2028, 12, 31)).map(lambda one: one.replace(tzinfo=JAPAN))  # noqa: DTZ001 - made aware


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=JAPAN)


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-11-25 06:59", "2026-11-25 07:00"),
        ("2026-11-25 07:00", None),
        ("2026-11-25 22:59", None),
        ("2026-11-25 23:00", "2026-11-26 07:00"),
        ("2026-11-28 07:30", "2026-11-28 08:00"),  # a Saturday
        ("2026-11-23 07:30", "2026-11-23 08:00"),  # a Monday, and Labour Thanksgiving Day
        ("2026-11-27 23:30", "2026-11-28 08:00"),
        ("2026-12-31 21:30", "2027-01-01 08:00"),
    ],
)
def test_when_it_opens_next(now: str, opens: str | None) -> None:
    read = read_hours(HOURS)
    assert read is not None
    assert read.opens_next(at(now), is_bank_holiday) == (None if opens is None else at(opens))


def test_the_days_on_which_banks_are_closed() -> None:
    closed = [date(2026, 12, 31), date(2027, 1, 1), date(2027, 1, 2), date(2027, 1, 3), date(2026, 5, 6)]
    assert all(is_bank_holiday(day) for day in closed)
    assert not is_bank_holiday(date(2026, 11, 25))
    assert not is_bank_holiday(date(2026, 11, 28)), "a Saturday is a weekday of its own"


@given(hours)
def test_what_is_written_is_read_again(one: ServiceHours) -> None:
    assert read_hours(one.text) == one


@given(hours, moments, st.sets(st.integers(0, 6)))
def test_open_means_inside_the_days_span_and_the_next_opening_is_the_first(
    one: ServiceHours, now: datetime, holidays: set[int]
) -> None:
    def is_holiday(day: date) -> bool:
        return day.day % 7 in holidays and day.day < 20

    def is_open(moment: datetime) -> bool:
        span = one.of(moment.date(), is_holiday)
        minute = moment.hour * 60 + moment.minute
        return span is not None and span.opens <= minute < span.closes

    opens = one.opens_next(now, is_holiday)
    if opens is None:
        assert is_open(now)
        return
    assert not is_open(now)
    assert opens > now
    assert is_open(opens)
    between = now + (opens - now) / 2
    assert not is_open(between)
    assert not is_open(opens - timedelta(minutes=1))


def test_holidays_are_as_sundays_where_they_are_not_named() -> None:
    read = read_hours("mon-fri 9:00-15:00; sun 10:00-12:00")
    assert read is not None
    assert dict(zip(DAYS, read.spans, strict=True)) | {"sat": None} == {
        **dict.fromkeys(DAYS[:5], Span(540, 900)), "sat": None, "sun": Span(600, 720), "holidays": Span(600, 720),
    }  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        "", "7-23", "mon 7:00-7:00", "mon 23:00-7:00", "mon 7:00-24:30", "mon-fri 7:00-23:00; fri 8:00-9:00",
        "fri-mon 7:00-9:00", "monday 7:00-9:00", "sat,sun 7:00-9:00", "holidays-mon 7:00-9:00",
        "mon-holidays 7:00-9:00",
        "mon 7:60-9:00", "mon 7:00-23:00;", "mon closed",
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_in_words(wrong: str) -> None:
    with pytest.raises(RuleOutOfBounds, match=r"service_hours .{5,}"):
        with_rules(Policy(), {"service_hours": wrong})


def test_a_policy_is_open_always_until_it_says_otherwise() -> None:
    assert written_hours(Policy()) == "always"
    changed = with_rules(Policy(), {"service_hours": HOURS.upper()})
    assert written_hours(changed) == "mon,tue,wed,thu,fri 7:00-23:00; sat,sun,holidays 8:00-21:00"
    assert with_rules(changed, {"service_hours": "always"}) == Policy()
