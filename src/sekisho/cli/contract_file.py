"""A file of contracts as banks export it: CSV in UTF-8 or CP932, a line at a time; and the file of their secrets."""

from __future__ import annotations

import codecs
import csv
import json
import os
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from sekisho.usecases.import_contracts import COLUMNS, LINE_FORM, NEEDED, Done, Line, Outcome, read_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from sekisho.usecases.register_unopened import RegisteredContract

_CHUNK = 1 << 20
_PRIVATE = 0o600
_ENCODINGS = ("utf-8-sig", "cp932")


class FileNotUsable(Exception):  # noqa: N818 - names what is the matter
    """The file cannot be read as what it should be; the text says why."""


def encoding_of(file: Path) -> tuple[str, int]:
    """Return the encoding that fits all of the file, UTF-8 before CP932, and how many line ends it has."""
    for encoding in _ENCODINGS:
        decoder = codecs.getincrementaldecoder(encoding)()
        ends = 0
        try:
            with file.open("rb") as source:
                while chunk := source.read(_CHUNK):
                    ends += decoder.decode(chunk).count("\n")
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            continue
        return encoding, ends
    raise FileNotUsable(f"{file}: neither UTF-8 nor CP932")


def lines_of(file: Path, encoding: str) -> Iterator[Line | Outcome]:
    """Yield what stands on the lines after the first, which names the columns. Raises `FileNotUsable` at the first.

    After a quotation mark that never ends nothing can be told apart, so the
    rest of the file counts as that one line.
    """
    with file.open(encoding=encoding, newline="") as source:
        rows = csv.reader(source, strict=True)
        try:
            header = [name.strip().lower() for name in next(rows, [])]
        except csv.Error:
            header = []
        _check_header(file, header)
        number = rows.line_num + 1
        try:
            for row in rows:
                if len(row) == len(header):
                    yield read_line(number, dict(zip(header, row, strict=True)))
                elif row:
                    yield Outcome(number, "", Done.WRONG, None, LINE_FORM)
                number = rows.line_num + 1
        except csv.Error:
            yield Outcome(number, "", Done.WRONG, None, LINE_FORM)


def _check_header(file: Path, header: list[str]) -> None:
    unknown = [name for name in header if name not in COLUMNS]
    missing = sorted(NEEDED - set(header))
    if missing:
        raise FileNotUsable(f"{file}: the first line does not name {', '.join(missing)}")
    if unknown or len(set(header)) != len(header):
        raise FileNotUsable(f"{file}: the first line names a column that is not known, or one twice")


@contextmanager
def letters(file: Path) -> Iterator[Callable[[Sequence[RegisteredContract]], None]]:
    """Open the file of secrets, for its owner alone, and give what appends to it: on the disk when it returns.

    What a crash left of a last line is cut off: its contract was never committed.
    """
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, _PRIVATE)
    with os.fdopen(handle, "r+b", buffering=0) as out:
        if os.fstat(handle).st_mode & 0o077:
            raise FileNotUsable(f"{file}: others can read it; chmod 600 it, or name another file")
        _cut_torn_line(handle)
        _sync_folder(file.resolve().parent)

        def keep(drawn: Sequence[RegisteredContract]) -> None:
            text = "".join(json.dumps(asdict(one)) + "\n" for one in drawn).encode()
            while text:
                text = text[out.write(text) :]
            os.fsync(handle)

        yield keep


def _cut_torn_line(handle: int) -> None:
    end = os.fstat(handle).st_size
    keep = end
    while keep:
        start = max(0, keep - _CHUNK)
        found = os.pread(handle, keep - start, start).rfind(b"\n")
        if found >= 0:
            keep = start + found + 1
            break
        keep = start
    if keep != end:
        os.ftruncate(handle, keep)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
