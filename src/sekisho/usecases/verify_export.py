"""Hold an export of the audit trail against itself and against the log that it was made from."""

from __future__ import annotations

import hashlib
import json
import zipfile
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from sekisho.store import audit, audit_search, removal
from sekisho.usecases.export_audit import FORMAT, MANIFEST, part_name, table_head, table_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sekisho.usecases.ports import Ports

_AT_ONCE = 1000
_COPIED = 1 << 16
_LONGEST_MANIFEST = 1 << 24


class DoesNotAgree(Exception):  # noqa: N818 - names what was found
    """The export is not what it says, or not what the log holds; the text names the first thing that differs."""


def verify_export(ports: Ports, file: Path) -> tuple[int, int]:
    """Return how many rows agree with the log, and how many are of contracts that were removed since.

    Raises `DoesNotAgree`. The archive has the files that the manifest names
    and no other, every one with the sum that stands there. Each CSV is what
    its lines make. The lines together have the sum that the log names, and
    each stands in the log as it is; so does each row of the log and of that
    time in the lines.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            manifest = _manifest(archive)
            _check_sums(archive, manifest)
            _check_names(archive, manifest)
            _check_tables(archive, manifest)
            _check_finished(ports, manifest)
            return _check_rows(ports, archive, manifest)
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError) as damage:
        raise DoesNotAgree(f"not a whole export of an audit trail: {damage}") from None


def _manifest(archive: zipfile.ZipFile) -> dict[str, Any]:
    if archive.getinfo(MANIFEST).file_size > _LONGEST_MANIFEST:
        raise DoesNotAgree("the manifest is too long")
    manifest: dict[str, Any] = json.loads(archive.read(MANIFEST))
    if manifest["format"] != FORMAT:
        raise DoesNotAgree(f"of a format that is not known: {manifest['format']}")
    return manifest


def _check_sums(archive: zipfile.ZipFile, manifest: dict[str, Any]) -> None:
    """Compare the sums of all files, and that of all lines."""
    lines = hashlib.sha256()
    for told in manifest["files"]:
        of_file = hashlib.sha256()
        with archive.open(told["name"]) as source:
            while some := source.read(_COPIED):
                of_file.update(some)
                if told["name"].endswith(".jsonl"):
                    lines.update(some)
        if of_file.hexdigest() != told["sha256"]:
            raise DoesNotAgree(f"{told['name']} was changed")
    if lines.hexdigest() != manifest["lines_sha256"]:
        raise DoesNotAgree("the lines are not those that the manifest names")


def _check_names(archive: zipfile.ZipFile, manifest: dict[str, Any]) -> None:
    """Look whether each part has its two files, and nothing else is in the archive."""
    parts = len(manifest["files"]) // 2
    expected = [f"{part_name(part)}.{kind}" for part in range(1, parts + 1) for kind in ("csv", "jsonl")]
    if not parts or [told["name"] for told in manifest["files"]] != expected:
        raise DoesNotAgree("the manifest does not name a CSV and the lines of each part")
    if sorted(archive.namelist()) != sorted([*expected, MANIFEST]):
        raise DoesNotAgree("the archive holds a file that the manifest does not name, or one twice")


def _check_tables(archive: zipfile.ZipFile, manifest: dict[str, Any]) -> None:
    """Compare each CSV, which the log knows nothing of, with what is made of its lines."""
    for part in range(1, len(manifest["files"]) // 2 + 1):
        table, lines = f"{part_name(part)}.csv", f"{part_name(part)}.jsonl"
        with archive.open(table) as found, archive.open(lines) as source:
            rows = map(json.loads, source)
            expected = table_head()
            while expected:
                if found.read(len(expected)) != expected:
                    raise DoesNotAgree(f"{table} is not what its lines make")
                expected = table_lines(islice(rows, _AT_ONCE))
            if found.read(1):
                raise DoesNotAgree(f"{table} is not what its lines make")


def _check_finished(ports: Ports, manifest: dict[str, Any]) -> None:
    """Look whether the log knows an export with just these lines."""
    expected = {name: manifest[name] for name in ("rows", "lines_sha256")}
    with ports.db.read() as tx:
        finished = audit_search.of_action(tx, manifest["bank"], "audit-export-finished", most=_AT_ONCE * 10)
    if not any(row["detail"] == expected and row["actor"] == manifest["made_by"] for row in finished):
        raise DoesNotAgree("the log names no export with these lines")


def _check_rows(ports: Ports, archive: zipfile.ZipFile, manifest: dict[str, Any]) -> tuple[int, int]:
    """Compare each line with its row, and each row with its line."""
    with ports.db.read() as tx:
        removed = {one.contract_id for one in removal.removed(tx, manifest["bank"])}
    agreed = gone = 0
    rows = _rows(ports, manifest)
    row = next(rows, None)
    for line in _lines(archive, manifest):
        if row is not None and line == row:
            agreed += 1
            row = next(rows, None)
        elif line["contract_id"] in removed:
            gone += 1
        else:
            raise DoesNotAgree(f"row {line['id']} stands otherwise in the log, or not at all")
    if row is not None:
        raise DoesNotAgree(f"row {row['id']} of the log is missing")
    return agreed, gone


def _lines(archive: zipfile.ZipFile, manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for told in manifest["files"]:
        if told["name"].endswith(".jsonl"):
            with archive.open(told["name"]) as source:
                for line in source:
                    yield json.loads(line)


def _rows(ports: Ports, manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the log's rows of the time that the manifest names, as an export has them."""
    since = None if manifest["since"] is None else datetime.fromisoformat(manifest["since"])
    until = datetime.fromisoformat(manifest["until"])
    after = 0
    while True:
        with ports.db.read() as tx:
            page = audit_search.between(
                tx,
                manifest["bank"],
                after=after,
                last=2**63 - 1,
                since=since,
                until=until,
                most=_AT_ONCE,
            )
        if not page:
            return
        yield from (json.loads(json.dumps(audit.shown(row))) for row in page)
        after = page[-1]["id"]
