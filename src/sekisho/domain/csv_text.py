"""CSV that goes out: a spreadsheet that opens it takes every cell for text or a number, and none for a formula."""

from __future__ import annotations

import csv
import io
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Without it the usual spreadsheets in Japan read UTF-8 as Shift_JIS.
BYTE_ORDER_MARK = "\ufeff"
# What a formula begins with (OWASP, CSV Injection), the forms of double width among them: NFKC makes them the same.
_BEGINS_FORMULA = ("=", "+", "-", "@")
GUARD = "'"


def csv_lines(rows: Iterable[Sequence[object]]) -> str:
    """Return lines of CSV (RFC 4180) with their line ends.

    Each cell is guarded, and quoted: a semicolon, too, stays inside of its
    cell everywhere.
    """
    lines = io.StringIO(newline="")
    writer = csv.writer(lines, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    writer.writerows([guarded(cell) for cell in row] for row in rows)
    return lines.getvalue()


def guarded(cell: object) -> str:
    """Return a cell with an apostrophe before what would be taken for a formula, or looks as if it had one already.

    So whoever takes one leading apostrophe off has the cell as it was. None
    is an empty cell. A number stays as it is, with its sign.
    """
    if cell is None or isinstance(cell, int | float):
        return "" if cell is None else str(cell)
    text = str(cell)
    plain = unicodedata.normalize("NFKC", text).lstrip()
    control = text[:1] in ("\t", "\r", "\n", "\0")
    return GUARD + text if control or plain.startswith((*_BEGINS_FORMULA, GUARD)) else text
