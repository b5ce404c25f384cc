"""A bank's rules: how they follow from what was decided, and how they are told and typed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sekisho.console.policy_entries import entries_anew, entries_of, read_wish, seen_field
from sekisho.domain.policy import RULES, Policy, RuleOutOfBounds, set_rules, stored_rules, with_rules
from sekisho.domain.policy_changes import Decision, Timeline, changed_rules, day_begins
from sekisho.web import messages
from sekisho.web.policy_words import (
    GROUPS,
    bounds_text,
    entry_hint,
    fixed_rules,
    installed_rules,
    rule_name,
    rule_why,
    value_text,
)

if TYPE_CHECKING:
    from sekisho.web.messages import Language

NOW = datetime(2026, 11, 24, 3, 5, tzinfo=UTC)
RULES_BY_DEFAULT = stored_rules(Policy())
both_languages = pytest.mark.parametrize("lang", messages.LANGUAGES)


def misses(count: int, **after: float) -> Decision:
    at = NOW + timedelta(**after)
    return Decision(at, {"misses_before_closed": count}, decided_at=NOW - timedelta(days=30))


def test_every_rule_stands_in_one_group() -> None:
    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(RULES_BY_DEFAULT)


@both_languages
@pytest.mark.parametrize("name", RULES_BY_DEFAULT)
def test_every_rule_has_words(lang: Language, name: str) -> None:
    value = RULES_BY_DEFAULT[name]
    told = [rule_name(lang, name), rule_why(lang, name), bounds_text(lang, name), value_text(lang, name, value)]
    assert all(told)
    assert all("{" not in words for words in told)
    assert rule_why(lang, name) in entry_hint(lang, name, value)


@both_languages
def test_what_is_fixed_is_told_with_its_value(lang: Language) -> None:
    for name, value in [*fixed_rules(lang), *installed_rules(lang, Policy())]:
        assert name
        assert value
        assert "{" not in value
    assert any("10" in value and "4" in value for _, value in fixed_rules(lang)), "the card table"


@pytest.mark.parametrize(
    ("name", "value", "ja", "en"),
    [
        ("misses_before_closed", 7, "7回", "7 times"),
        ("grace_days", 1, "1日", "1 day"),
        ("reminders_days", [30, 10, 3], "30、10、3日前", "30, 10, 3 days before"),
        ("way_est", False, "しない", "Off"),
        ("second_steps", ["card", "totp"], "お客様カード、認証アプリ", "Customer card, Authenticator app"),
        ("service_hours", "always", "常時", "Always"),
        (
            "service_hours",
            "mon,tue,wed,thu,fri 7:00-23:00; sat,sun,holidays closed",
            "月・火・水・木・金 7:00-23:00、土・日・祝日 休止",
            "Mon, Tue, Wed, Thu, Fri 7:00-23:00; Sat, Sun, holidays closed",
        ),
    ],
)
def test_values_are_told_as_one_says_them(name: str, value: Any, ja: str, en: str) -> None:
    assert (value_text("ja", name, value), value_text("en", name, value)) == (ja, en)


def test_bounds_are_told_with_their_unit() -> None:
    assert bounds_text("ja", "misses_before_closed") == "3〜10回"
    assert bounds_text("en", "session_life_hours") == "1 to 24 hours"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_comes_back_as_it_was_stored(rule: Any) -> None:
    stored = [rule.most] if rule.several else rule.most
    assert stored_rules(set_rules(Policy(), {rule.name: stored}))[rule.name] == stored


def test_a_policy_is_what_was_decided_in_the_order_of_its_moments() -> None:
    timeline = Timeline(Policy(), (misses(5, days=-2), misses(4, days=1), misses(3, days=2)))
    moments = [timedelta(days=-3), timedelta(0), timedelta(days=1), timedelta(days=3)]
    assert [timeline.at(NOW + moment).misses_before_closed for moment in moments] == [7, 5, 4, 3]
    assert timeline.span(NOW) == (NOW - timedelta(days=2), NOW + timedelta(days=1))
    assert timeline.coming(NOW)["misses_before_closed"].rules == {"misses_before_closed": 4}, "the nearest"
    assert timeline.last(NOW)["misses_before_closed"].rules == {"misses_before_closed": 5}
    assert Timeline(Policy()).last(NOW) == {}


def test_what_was_decided_for_at_once_waits_for_no_clock() -> None:
    at_once = Decision(NOW, {"misses_before_closed": 5}, decided_at=NOW)
    timeline = Timeline(Policy()).with_decision(at_once)
    assert timeline.at(NOW - timedelta(hours=1)).misses_before_closed == 5
    assert timeline.coming(NOW - timedelta(hours=1)) == {}


def test_of_two_for_the_same_moment_the_later_one_counts() -> None:
    timeline = Timeline(Policy()).with_decision(misses(5)).with_decision(misses(6))
    assert timeline.at(NOW).misses_before_closed == 6


def test_rules_are_looked_at_for_every_moment_to_come() -> None:
    shorter = Decision(NOW + timedelta(days=5), {"renewal_window_days": 20}, decided_at=NOW)
    with pytest.raises(RuleOutOfBounds) as disagree:
        Timeline(Policy()).with_decision(shorter).check(NOW)
    assert (disagree.value.rule, disagree.value.code) == ("reminders_days", "reminders")
    Timeline(Policy(), (shorter,)).at(NOW)


@pytest.mark.parametrize(
    ("stored", "code"),
    [
        ({"misses_before_closed": 2}, "bounds"),
        ({"second_steps": []}, "steps"),
        ({"service_hours": "never"}, "hours"),
        ({"renewal_window_days": 90, "certificate_life_days": 90}, "window"),
        ({"reminders_days": [31]}, "reminders"),
        ({"session_life_hours": 1, "session_idle_minutes": 60}, None),
    ],
)
def test_what_cannot_be_has_a_code(stored: dict[str, Any], code: str | None) -> None:
    if code is None:
        with_rules(Policy(), stored)
        return
    with pytest.raises(RuleOutOfBounds) as refused:
        with_rules(Policy(), stored)
    assert refused.value.code == code
    assert all(messages.has(f"policy.wrong.{refused.value.code}") for _ in messages.LANGUAGES)


def test_what_is_so_already_is_no_change() -> None:
    assert changed_rules(Policy(), {"reminders_days": [3, 10, 30], "misses_before_closed": 6}) == {
        "misses_before_closed": 6
    }


def test_a_day_begins_in_japan() -> None:
    assert day_begins(date(2026, 12, 1)) == datetime(2026, 11, 30, 15, tzinfo=UTC)


@pytest.mark.parametrize("group", GROUPS)
def test_a_form_that_nobody_touched_wishes_what_is(group: str) -> None:
    wish = read_wish(entries_of(RULES_BY_DEFAULT, GROUPS[group]), GROUPS[group])
    assert wish.rules == wish.seen == {name: RULES_BY_DEFAULT[name] for name in GROUPS[group]}
    assert (wish.wrong, wish.day, wish.reason) == ({}, None, "")


@pytest.mark.parametrize(
    ("name", "typed", "read"),
    [
        ("misses_before_closed", " ５ ", 5),
        ("reminders_days", "２０、5，3", [20, 5, 3]),
        ("reminders_days", "20 5", [20, 5]),
        ("service_hours", "常時", "always"),
        ("service_hours", "Always", "always"),
        ("service_hours", "ｍｏｎ 7:00-8:00", "mon 7:00-8:00"),
        ("way_est", "off", False),
    ],
)
def test_entries_are_read_as_people_type_them(name: str, typed: str, read: Any) -> None:
    assert read_wish({name: typed}, [name]).rules == {name: read}


@pytest.mark.parametrize(
    ("name", "typed", "code"),
    [
        ("misses_before_closed", "", "number"),
        ("misses_before_closed", "-1", "number"),
        ("misses_before_closed", "1e3", "number"),
        ("misses_before_closed", "9" * 7, "number"),
        ("reminders_days", "30,,x", "number"),
        ("reminders_days", "", "number"),
        ("way_est", "perhaps", "choice"),
    ],
)
def test_what_cannot_be_read_is_noted(name: str, typed: str, code: str) -> None:
    assert read_wish({name: typed}, [name]).wrong == {name: code}


@pytest.mark.parametrize(
    ("typed", "day"),
    [("2026-12-01", date(2026, 12, 1)), ("２０２６／１２／１", date(2026, 12, 1)), (" ", None)],
)
def test_a_day_is_read(typed: str, day: date | None) -> None:
    wish = read_wish({"day": typed}, [])
    assert (wish.day, wish.wrong) == (day, {})


@pytest.mark.parametrize("typed", ["2026-02-30", "12-01", "tomorrow", "2026-12-01T00:00"])
def test_no_day_is_noted(typed: str) -> None:
    assert read_wish({"day": typed}, []).wrong == {"day": "day-form"}


def test_over_rules_that_moved_only_what_was_meant_stays() -> None:
    names = ["misses_before_closed", "pin_longest", "second_steps", "way_est"]
    typed = entries_of(RULES_BY_DEFAULT, names) | {"misses_before_closed": "5", seen_field("pin_longest"): "broken"}
    moved = RULES_BY_DEFAULT | {"misses_before_closed": 3, "second_steps": ["totp"], "way_est": False}
    fields = entries_anew(typed, moved, names)
    assert fields["misses_before_closed"] == "5"
    assert fields[seen_field("misses_before_closed")] == "3"
    assert (fields["pin_longest"], fields[seen_field("pin_longest")]) == ("12", "12")
    assert fields["way_est"] == "off"
    assert {name for name in fields if name.startswith("second_steps")} == {"second_steps.totp"}
