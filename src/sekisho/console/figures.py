"""A figure of the overview: its numbers in words, and where its bars stand.

Bars are laid out in percent of the width and pixels of the height, so a
picture fills whatever width there is while its words keep their size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_TOP, _HEIGHT, _LINE = 22.0, 150.0, 15
# With more bars than this only the highest is told its number; the others stand by the lines behind them.
_ALL_TOLD = 6
_BAR_OF_SLOT = 0.72
# Room for the scale's numbers, in percent.
_GUTTER = 9.0


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a bar: `series` counts from 1, `title` is what it stands for in words."""

    y: float
    height: float
    series: int
    title: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar with its label, in lines; `told` is its number where that stands on it, at `top`."""

    x: float
    width: float
    middle: float
    label: Sequence[str]
    segments: Sequence[Segment]
    top: float
    told: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure: the table of its numbers, and the picture of the same.

    `head` names the first column and one more for each series; `rows` are a
    label with a number for each series.
    """

    name: str
    title: str
    head: Sequence[str]
    rows: Sequence[tuple[str, Sequence[int]]]
    bars: Sequence[Bar]
    lines: Sequence[tuple[float, str]]
    height: float

    @property
    def total(self) -> int:
        """All that the figure counts."""
        return sum(sum(numbers) for _, numbers in self.rows)


@dataclass(frozen=True, slots=True)
class Column:
    """What a bar stands for: the label of its row in the table, the one under the bar, and its numbers."""

    label: str
    short: str
    numbers: Sequence[int]


def figure(name: str, title: str, head: Sequence[str], columns: Sequence[Column], *, label_every: int = 1) -> Figure:
    """Lay a figure out; of many labels only each `label_every`th stands under its bar."""
    highest = max(sum(column.numbers) for column in columns)
    scale = _round_up(highest)
    slot = (100 - _GUTTER) / len(columns)
    bars = []
    for place, column in enumerate(columns):
        total = sum(column.numbers)
        segments, y = [], _TOP + _HEIGHT
        for series, number in enumerate(column.numbers, 1):
            height = round(number / scale * _HEIGHT, 1)
            y = round(y - height, 1)
            if number:
                segments.append(Segment(y, height, series, f"{column.label} {_named(head, series)}{number:,}"))
        told = total and (len(columns) <= _ALL_TOLD or total == highest)
        bars.append(
            Bar(
                x=round(_GUTTER + (place + (1 - _BAR_OF_SLOT) / 2) * slot, 2),
                width=round(slot * _BAR_OF_SLOT, 2),
                middle=round(_GUTTER + (place + 0.5) * slot, 2),
                label=column.short.split("\n") if place % label_every == 0 else (),
                segments=segments,
                top=y,
                told=f"{total:,}" if told else "",
            )
        )
    lines = [
        (round(_TOP + _HEIGHT * (1 - part / scale), 1), f"{part:,}")
        for part in ((scale, scale // 2) if scale % 2 == 0 else (scale,))
    ]
    deepest = max(len(bar.label) for bar in bars)
    rows = [(column.label, column.numbers) for column in columns]
    return Figure(name, title, head, rows, bars, lines, _TOP + _HEIGHT + 6 + deepest * _LINE)


def _named(head: Sequence[str], series: int) -> str:
    """Return the name of a series, where there are several."""
    return f"{head[series]} " if len(head) > 2 else ""  # noqa: PLR2004 - the labels' column and one of numbers


def _round_up(highest: int) -> int:
    """Return 1, 2 or 5 times a power of ten that is no smaller, for the top of the scale; 2 at least."""
    if highest <= 2:  # noqa: PLR2004 - the smallest scale
        return 2
    power: int = 10 ** int(math.log10(highest))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= highest)
