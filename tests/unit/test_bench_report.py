"""The tables of the bench say what was measured."""

from __future__ import annotations

import json
from pathlib import Path

from sekisho.bench import report

_REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def test_the_page_is_made_of_the_figures() -> None:
    result = json.loads((_REFERENCE / "bench.json").read_text("utf-8"))
    assert (_REFERENCE / "bench.md").read_text("utf-8") == report.page(result)


def test_bold_is_what_reaches_its_goal_and_nothing_else() -> None:
    result = json.loads((_REFERENCE / "bench.json").read_text("utf-8"))
    one = result["lines"][0] | {"ratio": 0.30, "goal": 0.30}
    assert "**0.30**" in report.tables(result | {"lines": [one]})
    assert "**0.29**" not in report.tables(result | {"lines": [one | {"ratio": 0.29}]})


def test_it_says_where_the_machine_was_not_quiet_and_where_the_load_may_be_what_limits() -> None:
    result = json.loads((_REFERENCE / "bench.json").read_text("utf-8"))
    one = result["lines"][0] | {"load_cores": 1.9, "load_may_limit": True}
    loud = report.tables(result | {"lines": [one], "limits": [], "others": [0.5]})
    assert "was not quiet" in loud
    assert "may be what limits" in loud
    quiet = report.tables(result | {"lines": [one | {"load_may_limit": False}], "limits": [], "others": [0.02]})
    assert "was not quiet" not in quiet
    assert "may be what limits" not in quiet


def test_a_page_of_the_console_reaches_its_goal_where_none_took_longer() -> None:
    result = json.loads((_REFERENCE / "bench.json").read_text("utf-8"))
    one = {"page": "overview", "engine": "sqlite", "certificates": 10_000, "p50_ms": 20.0, "slowest_ms": 200.0}
    one |= {"first_ms": 60.0, "hello_ms": 1.5, "ratio": 13.3, "goal_ms": 200}
    assert "| overview | SQLite | 10,000 | 20.0 | **200.0** | 200 |" in report.tables(result | {"pages": [one]})
    assert "| 20.0 | 200.1 | 200 |" in report.tables(result | {"pages": [one | {"slowest_ms": 200.1}]})
