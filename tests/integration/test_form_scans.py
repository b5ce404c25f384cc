"""Scans of papers: kept encrypted with their form, read on record, and gone with the contract or where none came."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import delete, update
from sqlalchemy.exc import DBAPIError
from tests.integration.test_file_opening import receive
from tests.support.counter import Counter
from tests.support.scans import JPEG, PDF, packed_pdf, pdf, png

from sekisho.domain.errors import FormMoved, FormUnknown, RoleMissing, ScanNotAccepted
from sekisho.domain.request_forms import FormKind, Step, row_of
from sekisho.domain.scan import LARGEST, MOST, ScanKind
from sekisho.domain.staff import Role
from sekisho.store.tables import form_scans
from sekisho.usecases.clean_up import REFUSED_PAPERS_KEPT, clean_up
from sekisho.usecases.form_scans import add_scan, read_scan
from sekisho.usecases.read_forms import read_form

if TYPE_CHECKING:
    from sqlalchemy import Connection, Executable
    from tests.support.world import World


@pytest.fixture
def counter(bank: World) -> Counter:
    return Counter(bank)


def run(statement: Executable, tx: Connection) -> None:
    tx.execute(statement)


def add(counter: Counter, number: str, content: bytes) -> None:
    add_scan(counter.bank.ports, at_work=counter.at_clerk, number=number, content=content)


def kept(counter: Counter, number: str) -> list[tuple[int, ScanKind, int]]:
    scans = read_form(counter.bank.ports, at_work=counter.at_approver, number=number).scans
    return [(one.id, one.kind, one.size) for one in scans]


def test_a_scan_is_kept_encrypted_and_read_on_record(bank: World, counter: Counter) -> None:
    number = counter.file(FormKind.PIN_RESET)
    for content in (PDF, png(), JPEG, PDF):  # the last is the same again
        add(counter, number, content)
    (first, kind, size), *others = kept(counter, number)
    assert (kind, size, [one[1] for one in others]) == (ScanKind.PDF, len(PDF), [ScanKind.PNG, ScanKind.JPEG])
    assert read_scan(bank.ports, at_work=counter.at_approver, number=number, scan_id=first) == (ScanKind.PDF, PDF)
    rows = bank.rows("SELECT action, actor FROM audit WHERE action LIKE 'scan-%' ORDER BY id")
    assert [(row.action, row.actor) for row in rows] == [
        *[("scan-added", "staff:kakari01")] * 3,
        ("scan-read", "staff:kenin01"),
    ]
    sealed = bytes(bank.rows("SELECT sealed FROM form_scans ORDER BY id")[0].sealed)
    assert b"%PDF" not in sealed
    assert read_form(bank.ports, at_work=counter.at_clerk, number=number).done[0]["action"] == "form-received"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "entry-missing"),
        (b"MZ" + PDF, "scan-kind"),
        (packed_pdf({4: b"<< /S /J#61vaScript >>"}, b"/OpenAction 4 0 R"), "scan-acts"),
        (PDF.replace(b"/Root", b"/Encrypt 3 0 R /Root"), "scan-encrypted"),
        (PDF[:60] + PDF[61:], "scan-broken"),
        (pdf({4: b"<< /Length 4 0 R >>\nstream\nabc\nendstream"}), "scan-costly"),
        (PDF[:-6] + b" " * LARGEST + b"%%EOF", "scan-too-large"),
    ],
)
def test_what_cannot_be_taken_is_said(counter: Counter, content: bytes, problem: str) -> None:
    number = counter.file(FormKind.PIN_RESET)
    with pytest.raises(ScanNotAccepted) as refused:
        add(counter, number, content)
    assert refused.value.fields == {"scan": problem}
    assert kept(counter, number) == []


def test_a_form_has_so_many_and_none_once_it_has_ended(counter: Counter) -> None:
    number = counter.file(FormKind.PIN_RESET)
    for n in range(MOST):
        add(counter, number, png(bytes([n])))
    with pytest.raises(ScanNotAccepted) as refused:
        add(counter, number, PDF)
    assert refused.value.fields == {"scan": "scan-many"}
    counter.move(number, Step.WITHDRAW, reason="取り下げ")
    with pytest.raises(FormMoved):
        add(counter, number, png(b"\xff"))
    assert len(kept(counter, number)) == MOST


def test_only_who_receives_forms_adds_and_only_who_sees_the_form_reads(bank: World, counter: Counter) -> None:
    number, other = counter.file(FormKind.PIN_RESET), counter.file(FormKind.LOCKOUT_LIFT)
    add(counter, number, PDF)
    ((scan, _, _),) = kept(counter, number)
    with pytest.raises(RoleMissing):
        add_scan(bank.ports, at_work=counter.at_approver, number=number, content=JPEG)
    with pytest.raises(FormUnknown):  # it is another form's
        read_scan(bank.ports, at_work=counter.at_clerk, number=other, scan_id=scan)
    columns = "kind, size, sha256, sealed, added_by_id, added_at"
    moved = f"INSERT INTO form_scans (form_id, {columns}) SELECT {row_of(other)}, {columns} FROM form_scans"  # noqa: S608
    bank.change(moved)  # whoever writes rows can hang it on another form, and it does not open there
    ((forged, _, _),) = kept(counter, other)
    with pytest.raises(RuntimeError, match="do not open"):
        read_scan(bank.ports, at_work=counter.at_clerk, number=other, scan_id=forged)
    elsewhere = counter.office.add("kakari02", Role.CLERK, branch="002").at_work()
    with pytest.raises(FormUnknown):
        read_scan(bank.ports, at_work=elsewhere, number=number, scan_id=scan)


def test_the_database_lets_go_of_none_and_changes_none(bank: World, counter: Counter) -> None:
    number = counter.file(FormKind.PIN_RESET)
    add(counter, number, PDF)
    statements: list[Executable] = [delete(form_scans), update(form_scans).values(size=1)]
    for statement in statements:
        with pytest.raises(DBAPIError):
            bank.db.write(partial(run, statement))
    assert len(kept(counter, number)) == 1


def test_papers_of_a_company_that_became_no_customer_go_after_a_year(bank: World, counter: Counter) -> None:
    refused, waiting = receive(counter), receive(counter, contract_id="20000000003")
    for number in (refused, waiting):
        add(counter, number, PDF)
    counter.move(refused, Step.RETURN, reason="審査の結果")
    bank.later(seconds=(REFUSED_PAPERS_KEPT - timedelta(minutes=1)).total_seconds())
    clean_up(bank.ports)
    assert len(bank.rows("SELECT 1 FROM form_scans")) == 2
    bank.later(minutes=2)
    assert clean_up(bank.ports) >= 1
    assert len(bank.rows("SELECT 1 FROM form_scans")) == 1
