"""CSV that goes out holds no formula, whatever companies are called."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sekisho
from sekisho.domain.csv_text import csv_lines, guarded

_BEGINS = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r")


@pytest.mark.parametrize(
    "name",
    ["=HYPERLINK(1)", "+81", "-1", "@SUM(A1)", "＝1+1", "＠見本", "\t=1", " =1", "\u3000=1", "\r=1", "'=1"],
)
def test_what_would_be_a_formula_is_text(name: str) -> None:
    assert guarded(name) == "'" + name


@pytest.mark.parametrize("name", ["", "見本商事", "A=B", "12345", "㈱見本", "x;=1"])
def test_other_text_stays_as_it_is(name: str) -> None:
    assert guarded(name) == name


@given(st.lists(st.lists(st.text(max_size=12), min_size=2, max_size=2), max_size=5))
def test_every_cell_comes_back_and_none_begins_a_formula(rows: list[list[str]]) -> None:
    read = list(csv.reader(io.StringIO(csv_lines([("a", "b"), *rows]), newline="")))
    assert read[0] == ["a", "b"]
    assert not any(cell.startswith(_BEGINS) for row in read[1:] for cell in row)
    assert [[cell.removeprefix("'") for cell in row] for row in read[1:]] == rows


def test_a_semicolon_opens_no_cell_of_its_own() -> None:
    assert csv_lines([("a",), ["x;=1"]]) == '"a"\r\n"x;=1"\r\n'


def test_nothing_else_writes_csv() -> None:
    """So an export that somebody adds is guarded as well."""
    code = Path(sekisho.__file__).parent
    writes = [one.name for one in code.rglob("*.py") if re.search(r"csv\.(writer|DictWriter)", one.read_text())]
    assert writes == ["csv_text.py"]
