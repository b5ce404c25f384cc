"""A file of contracts as banks export it: CSV in UTF-8 or CP932, a line at a time; and the file of their secrets."""

from __future__ import annotations

import codecs
import csv
import fcntl
import json
import os
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from sekisho.usecases.import_contracts import COLUMNS, LINE_FORM, LINE_TOO_LONG, NEEDED, Done, Line, Outcome, read_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import TextIO

    from sekisho.usecases.register_unopened import RegisteredContract

_CHUNK = 1 << 20
_PRIVATE = 0o600
# In characters. Four names, in quotation marks or not, are less than a hundredth of it.
_LONGEST_LINE = 64 * 1024
_LONGEST_ROW = 4 * _LONGEST_LINE
_CUT = "\0line too long\0"
_ENDS = "\r\n"


class FileNotUsable(Exception):  # noqa: N818 - names what is the matter
    """The file cannot be read as what it should be; the text says why."""


def encoding_of(file: Path) -> tuple[str, int]:
    """Return the encoding that fits all of the file, UTF-8 before CP932, and how many line ends it has.

    Raises `FileNotUsable` where none does, and where what fits is not sure:
    EUC-JP read as CP932 would give names that nobody has.
    """
    utf8, ends, wrong_at = _decoded(file, "utf-8-sig")
    if utf8:
        return "utf-8-sig", ends
    if _begins_with(file, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise FileNotUsable(f"{file}: this is UTF-16; save it as CSV in UTF-8 or CP932")
    if _begins_with(file, codecs.BOM_UTF8):
        raise FileNotUsable(f"{file}: it begins as UTF-8 does, and line {wrong_at} is none")
    cp932, ends, also_wrong_at = _decoded(file, "cp932")
    if not cp932:
        raise FileNotUsable(f"{file}: neither UTF-8 (see line {wrong_at}) nor CP932 (see line {also_wrong_at})")
    if _decoded(file, "euc_jp")[0]:
        raise FileNotUsable(f"{file}: this may be EUC-JP; save it as CSV in UTF-8 or CP932")
    return "cp932", ends


def _decoded(file: Path, encoding: str) -> tuple[bool, int, int]:
    """Tell whether a file is of an encoding, how many line ends it has, and on which line it is not."""
    decoder = codecs.getincrementaldecoder(encoding)()
    ends = 0
    try:
        with file.open("rb") as source:
            while chunk := source.read(_CHUNK):
                ends += decoder.decode(chunk).count("\n")
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as wrong:
        return False, ends, ends + 1 + wrong.object[: wrong.start].count(b"\n")
    return True, ends, 0


def _begins_with(file: Path, *marks: bytes) -> bool:
    with file.open("rb") as source:
        return source.read(4).startswith(marks)


def lines_of(file: Path, encoding: str) -> Iterator[Line | Outcome]:
    """Yield what stands on the lines after the first, which names the columns. Raises `FileNotUsable` at the first.

    After a quotation mark that never ends nothing can be told apart, so the
    rest of the file counts as that one line. No line is held that is longer
    than any of ours can be.
    """
    with file.open(encoding=encoding, newline="") as source:
        parts = _Parts(source)
        rows = csv.reader(parts, strict=True)
        try:
            header = [name.strip().lower() for name in next(rows, [])]
        except csv.Error:
            header = []
        _check_header(file, header)
        number = rows.line_num + 1
        try:
            for row in rows:
                parts.held = 0
                if any(_CUT in cell for cell in row):
                    yield Outcome(number, "", Done.WRONG, None, LINE_TOO_LONG)
                elif len(row) == len(header):
                    yield read_line(number, dict(zip(header, row, strict=True)))
                elif row:
                    yield Outcome(number, "", Done.WRONG, None, LINE_FORM)
                number = rows.line_num + 1
        except csv.Error:
            yield Outcome(number, "", Done.WRONG, None, LINE_FORM)


class _Parts:
    """The physical lines of a file, in bounded memory: of one that is too long only a mark is left."""

    def __init__(self, source: TextIO) -> None:
        self._source = source
        # How much of a row that is not finished yet is held by whoever reads.
        self.held = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._source.readline(_LONGEST_LINE)
        if not line:
            raise StopIteration
        if len(line) == _LONGEST_LINE and line[-1] not in _ENDS:
            while line and line[-1] not in _ENDS:
                line = self._source.readline(_LONGEST_LINE)
            line = f"{_CUT}\n"
        self.held += len(line)
        if self.held > _LONGEST_ROW:
            raise csv.Error("a row without an end")
        return line


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

    What a crash left of a last line is cut off: its contract was never
    committed. Raises `FileNotUsable` where others can read it, and where
    another run holds it, whose last line may be under way.
    """
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, _PRIVATE)
    with os.fdopen(handle, "r+b", buffering=0) as out:
        if os.fstat(handle).st_mode & 0o077:
            raise FileNotUsable(f"{file}: others can read it; chmod 600 it, or name another file")
        _hold(handle, file)
        _cut_torn_line(handle)
        _sync_folder(file.resolve().parent)

        def keep(drawn: Sequence[RegisteredContract]) -> None:
            text = "".join(json.dumps(asdict(one)) + "\n" for one in drawn).encode()
            while text:
                text = text[out.write(text) :]
            os.fsync(handle)

        yield keep


def _hold(handle: int, file: Path) -> None:
    """Have the file to oneself until it is closed."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FileNotUsable(
            f"{file}: another import is writing to it; let that one end, or name another file"
        ) from None


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
