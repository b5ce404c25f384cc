"""Figures: what stands in them, how they are laid out, and what a spreadsheet gets of them."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from tests.unit.test_templates import NOW, common, elements, parse, words

from sekisho.console.figures import Column, figure
from sekisho.console.overview import figures
from sekisho.domain.csv_text import csv_lines
from sekisho.domain.request_forms import FormState
from sekisho.domain.tally import DAY, DOORS, WEEK, day_of, week_of
from sekisho.usecases.read_overview import UNDER_WAY, Overview
from sekisho.web import messages
from sekisho.web.render import Renderer

if TYPE_CHECKING:
    from sekisho.web.messages import Language

RENDERER = Renderer()
TODAY = day_of(NOW)
WHOLE = Overview(
    day=TODAY,
    before=TODAY - DAY,
    after=None,
    added_until=NOW - timedelta(minutes=1),
    counted_at=NOW,
    ends=[(week_of(NOW) + n * WEEK, n * 1000) for n in range(13)],
    permits=[1, 2, 3, 4],
    lockouts=[(TODAY - n * DAY, 13 - n) for n in reversed(range(14))],
    doors={door: n for n, door in enumerate(DOORS)},
    logons=[0] * 23 + [1],
    acquisitions=[0] * 24,
    forms={state: [1, 0, 2, 0] for state in UNDER_WAY},
)
STAFF = SimpleNamespace(staff_id="kansa01", name="Mihon", branch=None, grants=[], roles=[])


def page(lang: Language, **changed: object) -> str:
    shown = figures(lang, WHOLE)
    context = {
        "staff": STAFF,
        "groups": {"waiting": [shown["forms"], shown["permits"]], "ending": [shown["ends"]]},
        "hours": [shown["logons"]],
        "day": WHOLE.day,
        "before": "/overview?day=2026-11-23",
        "after": None,
        "of_day": "?day=2026-11-24",
        "added_until": WHOLE.added_until,
        "counted_at": WHOLE.counted_at,
    }
    return RENDERER.page("console/overview.html", lang, **(common(lang) | {"site": "console"} | context | changed))


@pytest.mark.parametrize("lang", messages.LANGUAGES)
def test_each_figure_is_a_picture_and_a_table_of_the_same_numbers(lang: Language) -> None:
    document = parse(page(lang))
    tables = elements(document, "table")
    assert len(tables) == 4
    rows = [list(row) for row in tables[0].iter() if row.tag.endswith("}tr")]
    assert [len(row) for row in rows] == [5] * (1 + len(UNDER_WAY))
    assert words(rows[1][0]) == messages.text(lang, f"form.state.{FormState.FILED.value}")
    # Before its number a cell has its label, for eyes alone and where the screen is narrow.
    assert [words(list(cell)[1]) for cell in rows[1][1:]] == ["1", "0", "2", "0"]
    pictures = [one for one in document.iter() if one.attrib.get("class") == "picture"]
    assert len(pictures) == 4
    assert all(one.attrib["aria-hidden"] == "true" for one in pictures)
    assert "style=" not in page(lang)


def test_a_page_before_the_first_count_says_so() -> None:
    told = messages.text("ja", "overview.not-yet")
    assert told in page("ja", added_until=None)
    assert told not in page("ja")


def test_every_figure_has_words_and_no_two_one_name() -> None:
    for lang in messages.LANGUAGES:
        shown = figures(lang, WHOLE)
        assert sorted(shown) == ["acquisitions", "doors", "ends", "forms", "lockouts", "logons", "permits"]
        assert [len(one.rows) for one in shown.values()] == [13, 4, 14, 4, 24, 24, 4]
        assert shown["permits"].total == 10
        assert len({one.title for one in shown.values()}) == 7
    assert [label for label, _ in figures("ja", WHOLE)["permits"].rows] == ["0〜3日", "4〜7日", "8〜14日", "15日以上"]
    assert figures("en", WHOLE)["forms"].head[1:] == ["under 1", "1 to 2", "3 to 4", "5 or more"]


@pytest.mark.parametrize(
    ("numbers", "scale"), [([0], "2"), ([2], "2"), ([3], "5"), ([9], "10"), ([10], "10"), ([96_153], "100,000")]
)
def test_bars_stay_below_the_top_of_the_scale(numbers: list[int], scale: str) -> None:
    made = figure("x", "x", ["a", "b"], [Column("1", "1", [number]) for number in numbers])
    assert made.lines[0][1] == scale
    for bar in made.bars:
        assert sum(one.height for one in bar.segments) <= 150
        assert bar.x + bar.width <= 100


def test_pieces_of_a_bar_stand_on_each_other() -> None:
    (bar,) = figure("x", "x", ["a", "b", "c"], [Column("one", "one", [30, 70])]).bars
    lower, upper = bar.segments
    assert lower.y == pytest.approx(upper.y + upper.height)
    assert lower.y + lower.height == pytest.approx(172)
    assert (lower.title, upper.title, bar.told) == ("one b 30", "one c 70", "100")


def test_of_many_bars_only_the_highest_is_told() -> None:
    made = figure("x", "x", ["a", "b"], [Column(str(n), str(n), [n]) for n in range(24)], label_every=3)
    assert [bar.told for bar in made.bars if bar.told] == ["23"]
    assert [bar.label[0] for bar in made.bars if bar.label] == [str(n) for n in range(0, 24, 3)]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", '=HYPERLINK("http://x","y")'])
def test_no_cell_is_a_formula(text: str) -> None:
    ((cell,),) = csv.reader(io.StringIO(csv_lines([[text]]), newline=""))
    assert cell == "'" + text


@pytest.mark.parametrize("value", [-1, 0, 2.5, "x=1", "", 'a "b", c', "二行\nの値"])
def test_whatever_else_stays_as_it_is(value: object) -> None:
    ((cell,),) = csv.reader(io.StringIO(csv_lines([[value]]), newline=""))
    assert cell == str(value)
    assert re.fullmatch(r".*\r\n", csv_lines([[value, None]]), re.DOTALL)
