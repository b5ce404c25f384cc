"""What an auditor sees of the audit trail, and what an inspection gets of it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import tracemalloc
import zipfile
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, insert
from tests.support.staff import OPERATOR, Office
from tests.support.world import ADDRESS, BANK, CONTRACT, KEIRI01, World

from sekisho.domain.errors import RoleMissing
from sekisho.domain.staff import Role
from sekisho.store import audit, audit_search, banks, tables
from sekisho.store.audit import Actor
from sekisho.usecases.export_audit import COLUMNS, Export, begin_export
from sekisho.usecases.find_contracts import read_contract
from sekisho.usecases.search_audit import Wanted, search_audit
from sekisho.usecases.verify_export import DoesNotAgree, verify_export

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from sqlalchemy import Connection

    from sekisho.usecases.enter_console import AtWork

CROWD = 5000


@pytest.fixture
def auditor(bank: World) -> AtWork:
    return Office(bank).add("Kansa01", Role.AUDITOR).at_work()


def found(bank: World, auditor: AtWork, **wanted: Any) -> list[str]:
    """Return what is found, the newest first, and leave out what the search itself leaves."""
    rows = search_audit(bank.ports, at_work=auditor, wanted=Wanted(**wanted)).rows
    return [row["action"] for row in rows if row["action"] != "audit-read"]


def crowd(world: World, count: int, **changed: object) -> None:
    """Write many rows at once, a second apart from now on."""
    one = audit.row("logged-on", Actor("user:x", ADDRESS), at=world.clock[0])
    rows = [
        {**one, "bank": BANK.code, "contract_id": "20000000000", "at": world.clock[0] + timedelta(seconds=n)} | changed
        for n in range(count)
    ]
    world.db.write(lambda tx: audit.add_all(tx, rows))
    world.later(seconds=count)


def test_reading_a_contract_is_found_by_whom_what_and_when(bank: World, auditor: AtWork) -> None:
    read_contract(bank.ports, at_work=auditor, contract_id=CONTRACT)
    began = bank.clock[0]
    crowd(bank, CROWD)
    clerk = Office(bank).add("kakari01", Role.CLERK).at_work()
    bank.later(days=1)
    read_contract(bank.ports, at_work=clerk, contract_id=CONTRACT)
    assert found(bank, auditor, contract_id=CONTRACT)[:2] == ["contract-read", "contract-read"]
    assert found(bank, auditor, staff_id="kansa01", action="contract-read") == ["contract-read"]
    assert found(bank, auditor, action="contract-read") == ["contract-read"] * 2
    assert found(bank, auditor, action="contract-read", since=began + timedelta(hours=20)) == ["contract-read"]
    assert found(bank, auditor, action="contract-read", until=began) == []
    assert found(bank, auditor, action="contract-read", staff_id="KAKARI01") == ["contract-read"]
    assert len(found(bank, auditor, contract_id="20000000000", action="logged-on")) == 50
    assert found(bank, auditor, staff_id="nobody") == []
    assert found(bank, auditor, contract_id="123") == []
    assert found(bank, auditor, action="contract-read", staff_id="kakari01", contract_id="20000000000") == []


def test_a_search_stands_in_the_trail_itself(bank: World, auditor: AtWork) -> None:
    since = bank.clock[0] - timedelta(days=3)
    found(bank, auditor, contract_id=CONTRACT, staff_id="kakari01", since=since)
    found(bank, auditor, contract_id="20000000000", action="logged-on")
    about, other = bank.rows("SELECT actor, contract_id, detail FROM audit WHERE action = 'audit-read' ORDER BY id")
    details = [json.loads(row.detail) if isinstance(row.detail, str) else row.detail for row in (about, other)]
    assert (about.actor, about.contract_id, other.contract_id) == ("staff:Kansa01", CONTRACT, None)
    assert (details[0]["staff"], details[0]["since"]) == ("kakari01", since.isoformat())
    assert (details[1]["contract"], details[1]["looked_for"]) == ("20000000000", "logged-on")


@pytest.mark.parametrize("field", ["action", "contract_id", "staff_id"])
def test_what_no_engine_takes_finds_nothing_and_is_kept_without_it(bank: World, auditor: AtWork, field: str) -> None:
    for typed in ("a\x00b", "\x00", "\u202eab", "x" * 5000, "\ud800"):
        assert found(bank, auditor, **{field: typed}) == []
    kept = str(bank.rows("SELECT detail FROM audit WHERE action = 'audit-read'"))
    assert not any(escaped in kept for escaped in ("u0000", "x00", "u202e", "ud800", "x" * 41))
    assert "ab" in kept


def test_pages_lead_through_all_of_it_once(bank: World, auditor: AtWork) -> None:
    crowd(bank, 120)
    seen: list[int] = []
    before = None
    while True:
        page = search_audit(bank.ports, at_work=auditor, wanted=Wanted(action="logged-on", before=before))
        seen += [row["id"] for row in page.rows]
        if page.before is None:
            break
        before = page.before
    assert len(seen) == len(set(seen)) == 120
    assert seen == sorted(seen, reverse=True)


def test_a_page_that_finds_nothing_so_far_leads_on(
    bank: World, auditor: AtWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank.log_on(bank.acquire(KEIRI01))
    crowd(bank, 50, action="logged-off")
    monkeypatch.setattr(audit_search, "_LOOKED_AT", 20)
    pages, before = [], None
    for _ in range(20):
        page = search_audit(bank.ports, at_work=auditor, wanted=Wanted(action="certificate-issued", before=before))
        pages.append(len(page.rows))
        before = page.before
        if before is None:
            break
    assert sum(pages) == 1
    assert pages[0] == 0
    assert before is None


def test_a_clock_that_was_set_back_hides_nothing(bank: World, auditor: AtWork) -> None:
    crowd(bank, 100)
    bank.later(minutes=-30)
    bank.log_on(bank.acquire(KEIRI01))
    at = bank.clock[0]
    assert "logged-on" in found(bank, auditor, since=at, until=at + timedelta(seconds=1))


def test_nothing_of_another_bank_is_found(bank: World, auditor: AtWork) -> None:
    neighbour = replace(BANK, code="9991")
    bank.db.write(lambda tx: banks.add(tx, neighbour, bank.clock[0]))
    crowd(bank, 60, bank="9991")
    assert all(action != "logged-on" for action in found(bank, auditor))
    bank.later(minutes=2)
    assert all(row["bank"] == BANK.code for row in Unpacked(begin(bank).pieces()).rows)


@pytest.mark.parametrize("role", [Role.CLERK, Role.APPROVER, Role.OPERATOR])
def test_only_an_auditor_searches(bank: World, role: Role) -> None:
    colleague = Office(bank).add("hoka01", role).at_work()
    with pytest.raises(RoleMissing):
        search_audit(bank.ports, at_work=colleague, wanted=Wanted())
    of_branch = Office(bank).add("kansa02", Role.AUDITOR, branch="001").at_work()
    with pytest.raises(RoleMissing):
        search_audit(bank.ports, at_work=of_branch, wanted=Wanted())
    assert bank.rows("SELECT 1 FROM audit WHERE action = 'audit-read'") == []


@dataclass
class Unpacked:
    """An export as an inspector opens it."""

    pieces: Iterable[bytes]
    files: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with zipfile.ZipFile(io.BytesIO(b"".join(self.pieces))) as archive:
            assert archive.testzip() is None
            self.files = {name: archive.read(name) for name in archive.namelist()}

    @property
    def manifest(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.files["manifest.json"])
        return told

    @property
    def lines(self) -> bytes:
        return b"".join(data for name, data in sorted(self.files.items()) if name.endswith(".jsonl"))

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines.splitlines()]


def begin(bank: World, **span: Any) -> Export:
    return begin_export(bank.ports, bank=BANK.code, actor=OPERATOR, **span)


def test_an_export_holds_just_the_rows_of_its_time(bank: World) -> None:
    bank.log_on(bank.acquire(KEIRI01))
    began = bank.later(minutes=2)
    crowd(bank, 10)
    bank.later(minutes=2)
    bank.log_on(bank.acquire(replace(KEIRI01, user_id="keiri02")))
    bank.later(minutes=2)
    whole = Unpacked(begin(bank).pieces())
    with bank.db.read() as tx:
        listed = [audit.shown(row) for row in audit.listed(tx)]
    assert whole.rows == [row for row in listed if not row["action"].startswith("audit-export")]
    part = Unpacked(begin(bank, since=began, until=began + timedelta(seconds=10)).pieces())
    assert [row["action"] for row in part.rows] == ["logged-on"] * 10
    assert part.manifest["rows"] == 10
    assert part.manifest["until"] == (began + timedelta(seconds=10)).isoformat()
    assert whole.manifest["until"] == (bank.clock[0] - timedelta(seconds=60)).isoformat()
    nothing = Unpacked(begin(bank, since=bank.clock[0] + timedelta(days=1)).pieces())
    assert (nothing.manifest["rows"], nothing.lines) == (0, b"")


def test_an_export_says_what_it_is_and_the_log_says_the_same(bank: World) -> None:
    bank.later(minutes=2)
    made = Unpacked(begin(bank).pieces())
    for file in made.manifest["files"]:
        assert hashlib.sha256(made.files[file["name"]]).hexdigest() == file["sha256"]
    assert hashlib.sha256(made.lines).hexdigest() == made.manifest["lines_sha256"]
    begun, finished = bank.rows("SELECT action, actor, detail FROM audit WHERE action LIKE 'audit-export%' ORDER BY id")
    detail = json.loads(finished.detail) if isinstance(finished.detail, str) else finished.detail
    assert (begun.action, finished.action) == ("audit-exported", "audit-export-finished")
    assert begun.actor == finished.actor == OPERATOR.name
    assert detail == {name: made.manifest[name] for name in ("rows", "lines_sha256")}


def test_a_spreadsheet_reads_it_and_runs_nothing(bank: World) -> None:
    evil = '=HYPERLINK("http://x","y")'
    row = audit.row("contract-changed", Actor(evil), at=bank.clock[0], name="株式会社")
    bank.db.write(lambda tx: audit.add_all(tx, [{**row, "bank": BANK.code}]))
    bank.later(minutes=2)
    data = Unpacked(begin(bank).pieces()).files["audit-0001.csv"]
    assert data.startswith(b"\xef\xbb\xbf")
    head, *rows = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""))
    assert tuple(head) == COLUMNS
    last = dict(zip(head, rows[-1], strict=True))
    assert last["actor"] == f"'{evil}"
    assert last["at_in_japan"] == "2026-11-24 12:00:00"
    assert json.loads(last["detail"]) == {"name": "株式会社"}


def test_many_rows_come_in_parts_and_in_little_memory(bank: World) -> None:
    crowd(bank, 3 * CROWD)
    bank.later(minutes=2)
    export = begin(bank)
    export.in_a_part = 2 * CROWD
    tracemalloc.start()
    try:
        size = sum(len(piece) for piece in export.pieces())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000
    assert size > 50_000
    again = begin(bank)
    again.in_a_part = 2 * CROWD
    made = Unpacked(again.pieces())
    assert sorted(name for name in made.files if name.endswith("csv")) == ["audit-0001.csv", "audit-0002.csv"]
    assert made.files["audit-0001.jsonl"].count(b"\n") == 2 * CROWD
    assert len({row["id"] for row in made.rows}) == made.manifest["rows"] >= 3 * CROWD


def test_an_export_that_nobody_waits_for_is_begun_and_not_finished(bank: World) -> None:
    bank.later(minutes=2)
    pieces = begin(bank).pieces()
    next(iter(pieces))
    pieces.close()  # type: ignore[attr-defined] # a generator
    actions = [row.action for row in bank.rows("SELECT action FROM audit WHERE action LIKE 'audit-export%'")]
    assert actions == ["audit-exported"]


def repacked(file: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """Write an export anew, with files changed or left out, and sums in the manifest that fit."""
    with zipfile.ZipFile(file) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    changed = {name: data for name, before in files.items() if (data := change(name, before)) is not None}
    manifest = json.loads(changed.pop("manifest.json"))
    for told in manifest["files"]:
        told["sha256"] = hashlib.sha256(changed[told["name"]]).hexdigest()
    lines = b"".join(changed[told["name"]] for told in manifest["files"] if told["name"].endswith("jsonl"))
    manifest["lines_sha256"] = hashlib.sha256(lines).hexdigest()
    other = file.with_name("other.zip")
    with zipfile.ZipFile(other, "w") as archive:
        for name, data in {**changed, "manifest.json": json.dumps(manifest).encode()}.items():
            archive.writestr(name, data)
    return other


@pytest.fixture
def exported(bank: World, tmp_path: Path) -> Path:
    bank.log_on(bank.acquire(KEIRI01))
    bank.later(minutes=2)
    file = tmp_path / "audit.zip"
    file.write_bytes(b"".join(begin(bank).pieces()))
    return file


def test_an_export_agrees_with_the_log_it_was_made_from(bank: World, exported: Path) -> None:
    count = len(Unpacked([exported.read_bytes()]).rows)
    assert verify_export(bank.ports, exported) == (count, 0)
    assert verify_export(bank.ports, repacked(exported, lambda _, data: data)) == (count, 0)


def test_lines_that_were_changed_are_found_with_sums_that_fit_too(bank: World, exported: Path) -> None:
    changed = repacked(exported, lambda _, data: data.replace(b"logged-on", b"logged-in"))
    with pytest.raises(DoesNotAgree, match="the log names no export with these lines"):
        verify_export(bank.ports, changed)
    shutil.copy(exported, changed)
    with zipfile.ZipFile(changed, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("audit-0001.jsonl", b"{}")
    with pytest.raises(DoesNotAgree, match=r"audit-0001\.jsonl was changed"):
        verify_export(bank.ports, changed)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace(b"logged-on", b"logged-in"),
        lambda data: data + b'"1"\r\n',
        lambda data: data[: data.rindex(b'"', 0, len(data) // 2)],
        lambda _: b"",
    ],
)
def test_a_table_that_was_changed_is_found_though_the_log_has_only_the_lines(
    bank: World, exported: Path, change: Callable[[bytes], bytes]
) -> None:
    changed = repacked(exported, lambda name, data: change(data) if name.endswith(".csv") else data)
    with pytest.raises(DoesNotAgree, match=r"audit-0001\.csv is not what its lines make"):
        verify_export(bank.ports, changed)


def test_an_export_in_parts_agrees(bank: World, tmp_path: Path) -> None:
    crowd(bank, 2500, detail={"name": '=1+1 "見本"\n'})
    bank.later(minutes=2)
    export = begin(bank)
    export.in_a_part = 1200
    file = tmp_path / "audit.zip"
    file.write_bytes(b"".join(export.pieces()))
    assert verify_export(bank.ports, file) == (export.rows, 0)


def test_a_file_that_the_manifest_does_not_name_is_found(bank: World, exported: Path) -> None:
    for name, warned in (("readme.csv", False), ("manifest.json", True)):
        other = exported.with_name("more.zip")
        shutil.copy(exported, other)
        with (
            zipfile.ZipFile(other, "a") as archive,
            pytest.warns(UserWarning, match="Duplicate") if warned else nullcontext(),
        ):
            archive.writestr(name, archive.read(name) if warned else b"x")
        with pytest.raises(DoesNotAgree, match="a file that the manifest does not name"):
            verify_export(bank.ports, other)

    def lines_alone(name: str, data: bytes) -> bytes | None:
        if name != "manifest.json":
            return None if name.endswith(".csv") else data
        manifest = json.loads(data)
        manifest["files"] = [one for one in manifest["files"] if one["name"].endswith("jsonl")]
        return json.dumps(manifest).encode()

    with pytest.raises(DoesNotAgree, match="of each part"):
        verify_export(bank.ports, repacked(exported, lines_alone))


def test_a_log_that_was_changed_is_found(bank: World, exported: Path) -> None:
    bank.change_unguarded("UPDATE audit SET actor = 'nobody' WHERE action = 'logged-on'")
    (row,) = bank.rows("SELECT id FROM audit WHERE action = 'logged-on'")
    with pytest.raises(DoesNotAgree, match=f"row {row.id} stands otherwise"):
        verify_export(bank.ports, exported)


def test_a_row_that_came_into_the_log_later_is_found(bank: World, exported: Path) -> None:
    row = audit.row("logged-on", OPERATOR, at=bank.clock[0] - timedelta(hours=1))
    bank.db.write(lambda tx: audit.add_all(tx, [{**row, "bank": BANK.code}]))
    with pytest.raises(DoesNotAgree, match="of the log is missing"):
        verify_export(bank.ports, exported)


@pytest.mark.parametrize("manifest", [b"", b"[]", b"{}", b'{"format": "x"}'])
def test_what_is_no_export_is_told_in_one_line(bank: World, tmp_path: Path, manifest: bytes) -> None:
    file = tmp_path / "no.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("manifest.json", manifest)
    with pytest.raises(DoesNotAgree):
        verify_export(bank.ports, file)


def test_a_place_is_found_by_its_moment(bank: World, monkeypatch: pytest.MonkeyPatch) -> None:
    began = bank.later(minutes=1)
    crowd(bank, 300)
    (last,) = bank.rows("SELECT max(id) AS id FROM audit")
    for near in (1, 50):
        monkeypatch.setattr(audit_search, "_NEAR", near)
        for second in (0, 1, 150, 299, 300, 1000):
            moment = began + timedelta(seconds=second)
            first = last.id - 299 + min(second, 300)
            with bank.db.read() as tx:
                low, high = audit_search.place_of(tx, moment)
            assert low <= first <= high <= low + near
    with bank.db.read() as tx:
        assert audit_search.place_of(tx, began - timedelta(days=1))[0] == 1


def test_a_place_is_found_by_few_looks_and_across_numbers_that_were_left_out(bank: World) -> None:
    began, (last,) = bank.later(minutes=1), bank.rows("SELECT max(id) AS id FROM audit")
    row = audit.row("logged-on", OPERATOR, at=began) | {"bank": BANK.code}
    # A crowd; and then a wide gap, and rows that each lie far from the next.
    near = [last.id + 1 + n for n in range(CROWD)]
    far = [last.id + 10_000_000 + 9_973 * n for n in range(CROWD)]
    for ids, second, most in ((near, 0, 6), (far, CROWD, 60)):
        rows = [row | {"id": number, "at": began + timedelta(seconds=second + n)} for n, number in enumerate(ids)]
        bank.db.write(partial(insert_all, rows=rows))
        for n in (0, 1, CROWD // 2, CROWD - 1):
            with looks(bank) as sent, bank.db.read() as tx:
                low, high = audit_search.place_of(tx, began + timedelta(seconds=second + n))
            assert low <= ids[n], n
            assert n == 0 or high > ids[n - 1], n
            assert sum("audit" in statement for statement in sent) <= most, (n, sent)


def insert_all(tx: Connection, rows: list[dict[str, Any]]) -> None:
    tx.execute(insert(tables.audit), rows)


@contextmanager
def looks(bank: World) -> Iterator[list[str]]:
    """Collect each statement that is sent to read while the block lasts."""
    sent: list[str] = []

    def keep(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(bank.db.reading, "before_cursor_execute", keep)
    try:
        yield sent
    finally:
        event.remove(bank.db.reading, "before_cursor_execute", keep)
