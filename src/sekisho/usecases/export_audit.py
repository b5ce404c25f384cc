"""The audit trail of a bank for an inspection: a ZIP file that is made while it is sent.

    audit-0001.csv    for spreadsheets: 100,000 rows at most in each part
    audit-0001.jsonl  the same rows, a line each, just as `sekisho audit list --json` prints them
    manifest.json     whose rows, of which time, how many, and SHA-256 of each file and of all lines

That an export began stands in the trail before its first byte goes out, and
the sum of its lines before its last: so the file can be held against the log.
"""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
import zipfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import IO, TYPE_CHECKING, Any

from sekisho.domain.csv_text import BYTE_ORDER_MARK, csv_lines
from sekisho.domain.service_hours import JAPAN
from sekisho.store import audit, audit_search
from sekisho.store.audit_search import Asked
from sekisho.usecases.search_audit import within
from sekisho.usecases.serve_systems import SETTLED_AFTER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import Connection

    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports

FORMAT = "sekisho-audit-export/1"
MANIFEST = "manifest.json"
COLUMNS = ("id", "at", "at_in_japan", "action", "contract_id", "actor", "address", "person_id", "serial", "detail")
_IN_A_PART = 100_000
_AT_ONCE = 1000
_COPIED = 1 << 16
# A clock may have been set back by hours; nobody sets one back by more than a day.
_OUT_OF_ORDER = timedelta(days=1)


@dataclass
class Export:
    """An export as it goes: bounds of the rows by number, and how far it has come."""

    ports: Ports
    bank: str
    actor: Actor
    since: datetime | None
    until: datetime
    made_at: datetime
    first: int
    last: int
    in_a_part: int = _IN_A_PART
    reached: int = 0
    rows: int = 0
    lines: Any = field(default_factory=hashlib.sha256)

    def pieces(self) -> Iterator[bytes]:
        """Yield the ZIP file's bytes, once. What is held meanwhile is a page of rows."""
        pipe = _Pipe()
        files: list[dict[str, str]] = []
        with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
            part, full = 0, True
            while full:
                part += 1
                before = self.rows
                yield from self._part(archive, pipe, part, files)
                full = self.rows - before == self.in_a_part
            manifest = self._end(files)
            archive.writestr(self._entry(MANIFEST), json.dumps(manifest, ensure_ascii=False, indent=2) + "\n")
        yield pipe.take()

    def _part(self, archive: zipfile.ZipFile, pipe: _Pipe, part: int, files: list[dict[str, str]]) -> Iterator[bytes]:
        """Write one part's rows as CSV, and from a file without a name that they were put into, as lines of JSON."""
        name = part_name(part)
        with tempfile.TemporaryFile() as kept:
            with archive.open(self._entry(f"{name}.csv"), "w", force_zip64=True) as out:
                table = _Summed(out)
                table.write(table_head())
                for page in self._pages():
                    table.write(table_lines(page))
                    kept.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in page).encode())
                    yield pipe.take()
            kept.seek(0)
            with archive.open(self._entry(f"{name}.jsonl"), "w", force_zip64=True) as out:
                lines = _Summed(out)
                while some := kept.read(_COPIED):
                    lines.write(some)
                    self.lines.update(some)
                    yield pipe.take()
        files += [{"name": f"{name}.{kind}", "sha256": one.sum} for kind, one in (("csv", table), ("jsonl", lines))]

    def _pages(self) -> Iterator[list[dict[str, Any]]]:
        """Yield the next rows of a part as they are printed, a page at a time."""
        left = self.in_a_part
        while left:
            with self.ports.db.read() as tx:
                page = audit_search.between(
                    tx,
                    self.bank,
                    after=max(self.reached, self.first - 1),
                    last=self.last,
                    since=self.since,
                    until=self.until,
                    most=min(left, _AT_ONCE),
                )
            if not page:
                return
            self.reached = page[-1]["id"]
            self.rows += len(page)
            left -= len(page)
            yield [audit.shown(row) for row in page]

    def _end(self, files: list[dict[str, str]]) -> dict[str, Any]:
        """Write down what was exported, and return it as the manifest says it."""
        told = {"rows": self.rows, "lines_sha256": self.lines.hexdigest()}

        def note(tx: Connection) -> None:
            now = self.ports.now()
            audit.add_of_bank(tx, "audit-export-finished", self.actor, at=now, bank=self.bank, **told)

        self.ports.db.write(note)
        return {
            "format": FORMAT,
            "bank": self.bank,
            "since": None if self.since is None else self.since.isoformat(),
            "until": self.until.isoformat(),
            "made_at": self.made_at.isoformat(),
            "made_by": self.actor.name,
            **told,
            "files": files,
        }

    def _entry(self, name: str) -> zipfile.ZipInfo:
        here = self.made_at.astimezone(JAPAN)
        entry = zipfile.ZipInfo(name, (here.year, here.month, here.day, here.hour, here.minute, here.second))
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.external_attr = 0o600 << 16
        return entry


def begin_export(
    ports: Ports, *, bank: str, actor: Actor, since: datetime | None = None, until: datetime | None = None
) -> Export:
    """Write down that an export begins, and return it.

    It holds what was written from `since` until before `until`, but never of
    the last minute: a row with a smaller number may still come there.
    """
    now = ports.now()
    settled = now - SETTLED_AFTER
    end = settled if until is None else min(until, settled)

    def note(tx: Connection) -> None:
        told = {"since": None if since is None else since.isoformat(), "until": end.isoformat()}
        audit.add_all(tx, [{**audit.row("audit-exported", actor, at=now), "bank": bank, "detail": told}])

    ports.db.write(note)
    with ports.db.read() as tx:
        bounds = within(tx, Asked(bank, since=since, until=end), _OUT_OF_ORDER)
    return Export(ports, bank, actor, since, end, now, bounds.first, bounds.last)


def part_name(part: int) -> str:
    """Return what the two files of a part are called, without what tells them apart."""
    return f"audit-{part:04}"


def table_head() -> bytes:
    """Return what each CSV begins with."""
    return (BYTE_ORDER_MARK + csv_lines([COLUMNS])).encode()


def table_lines(rows: Iterable[dict[str, Any]]) -> bytes:
    """Return rows, each as it stands in the lines of JSON, as they stand in the CSV."""
    return csv_lines(map(_cells, rows)).encode()


class _Pipe(io.RawIOBase):
    """Takes what the archive writes until somebody takes it away; it cannot go back."""

    def __init__(self) -> None:
        super().__init__()
        self._written: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._written.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken, self._written = b"".join(self._written), []
        return taken


class _Summed:
    """A file of the archive with the sum of what was written to it."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._sum = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._out.write(data)
        self._sum.update(data)

    @property
    def sum(self) -> str:
        return self._sum.hexdigest()


def _cells(row: dict[str, Any]) -> list[object]:
    at = datetime.fromisoformat(row["at"]).astimezone(JAPAN)
    shown = {
        **row,
        "at_in_japan": at.strftime("%Y-%m-%d %H:%M:%S"),
        "detail": json.dumps(row["detail"], ensure_ascii=False),
    }
    return [shown[name] for name in COLUMNS]
