"""What the staff's CA signs stands in a journal of its own: a restore un-ends nobody, a forged row is found."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update
from tests.support.staff import OPERATOR, Colleague, Office
from tests.support.world import World, journaled, world

from sekisho.ca.blocks import JournalBroken
from sekisho.ca.segments import JournalNotWritten
from sekisho.ca.staff_journal import StaffJournal
from sekisho.domain.errors import CertificateRevoked, StaffIdTaken
from sekisho.domain.staff import Role
from sekisho.store import restores
from sekisho.store.tables import staff_certificates
from sekisho.usecases.add_staff import renew_staff
from sekisho.usecases.enter_console import meet_staff
from sekisho.usecases.findings import Disagreement, Finding, Tally
from sekisho.usecases.grant_role import end_staff
from sekisho.usecases.reconcile import notice_restore, reconcile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CODE = "9990"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "staff-ca"
    made.mkdir()
    (made / "ca.key.pem").write_text("that it is here is enough")
    return made


@pytest.fixture
def bank(tmp_path: Path, engine: str, folder: Path) -> Iterator[World]:
    with world(tmp_path, engine) as opened, journaled(opened, tmp_path / "journal"):
        opened.ports = replace(opened.ports, staff_records={CODE: StaffJournal(folder, lambda: None)})
        yield opened


@pytest.fixture
def office(bank: World) -> Office:
    return Office(bank)


def journal_of(bank: World) -> Any:
    return bank.ports.staff_records[CODE]


def compare(bank: World, *, repair: bool = False) -> list[Finding]:
    return list(reconcile(bank.ports, bank=CODE, actor=OPERATOR, repair=repair, tally=Tally()))


def serial_of(bank: World, staff_id: str) -> int:
    rows = bank.rows(
        "SELECT c.serial FROM staff_certificates c JOIN staff s ON s.id = c.holder_id "
        "WHERE s.staff_id = :staff_id ORDER BY c.id DESC LIMIT 1",
        staff_id=staff_id,
    )
    return int(rows[0].serial, 16)


def enter(bank: World, colleague: Colleague) -> Any:
    return meet_staff(bank.ports, bank=bank.bank, der=colleague.der)


def test_what_is_signed_and_ended_stands_there(bank: World, office: Office) -> None:
    first = office.add("kakari01", Role.CLERK)
    office.add("kenin01", Role.APPROVER)
    found = {one.staff_id: one for one in journal_of(bank).records()}
    assert found["kakari01"].der == first.der
    assert found["kakari01"].ended_at is None
    bank.later(minutes=1)
    renew_staff(bank.ports, bank=bank.bank, staff_id="kakari01", issue=office.issue, actor=OPERATOR)
    end_staff(bank.ports, bank=bank.bank, staff_id="kenin01", actor=OPERATOR)
    records = journal_of(bank).records()
    assert sorted((one.staff_id, one.ended_at is None) for one in records) == [
        ("kakari01", False),
        ("kakari01", True),
        ("kenin01", False),
    ]
    assert compare(bank) == []
    assert not notice_restore(bank.ports, bank=CODE, actor=OPERATOR)
    journal_of(bank).verify()


def test_who_was_refused_leaves_nothing(bank: World, office: Office) -> None:
    office.add("kakari01", Role.CLERK)
    with pytest.raises(StaffIdTaken):
        office.add("KAKARI01", Role.CLERK)
    assert len(journal_of(bank).records()) == 1
    assert compare(bank) == []


def test_a_restore_that_un_ends_somebody_is_noticed_and_they_stay_out(bank: World, office: Office) -> None:
    gone = office.add("kakari01", Role.CLERK)
    end_staff(bank.ports, bank=bank.bank, staff_id="kakari01", actor=OPERATOR)
    bank.change("UPDATE staff SET ended_at = NULL", "UPDATE staff_certificates SET ended_at = NULL")
    assert enter(bank, gone), "as the backup had it"
    assert notice_restore(bank.ports, bank=CODE, actor=OPERATOR)
    with pytest.raises(CertificateRevoked):
        enter(bank, gone)
    with bank.db.read() as tx:
        assert restores.is_behind(tx, CODE)
    assert compare(bank, repair=True) == []
    with bank.db.read() as tx:
        assert not restores.is_behind(tx, CODE)
    actions = [row.action for row in bank.rows("SELECT action FROM audit ORDER BY id")]
    assert "restore-noticed" in actions
    assert "staff-certificate-ended" in actions


def test_a_certificate_that_a_restore_forgot_is_not_stored_again(bank: World, office: Office) -> None:
    office.add("kakari01", Role.CLERK)
    serial = serial_of(bank, "kakari01")
    bank.change_unguarded("DELETE FROM staff_certificates")
    assert notice_restore(bank.ports, bank=CODE, actor=OPERATOR)
    assert compare(bank) == [Finding(Disagreement.MISSING, "staff", serial)]
    (repaired,) = compare(bank, repair=True)
    assert (repaired.repaired, repaired.why) == (True, "give kakari01 another one")
    assert compare(bank) == []
    assert bank.rows("SELECT * FROM staff_certificates") == []
    with bank.db.read() as tx:
        assert not restores.is_behind(tx, CODE)
    renew_staff(bank.ports, bank=bank.bank, staff_id="kakari01", issue=office.issue, actor=OPERATOR)
    assert compare(bank) == []


def test_a_row_that_the_ca_never_signed_for_is_said_and_never_believed(bank: World, office: Office) -> None:
    office.add("kakari01", Role.CLERK)
    journal_of(bank).records()
    without = replace(bank.ports, staff_records={})
    bank.ports, with_it = without, bank.ports
    office.add("forged01", Role.OPERATOR)
    bank.ports = with_it
    office.add("kenin01", Role.APPROVER)
    assert compare(bank, repair=True) == [Finding(Disagreement.NOT_IN_JOURNAL, "staff", serial_of(bank, "forged01"))], (
        "the next one that is added does not take it in"
    )
    assert not notice_restore(bank.ports, bank=CODE, actor=OPERATOR), "it is no restore"
    bank.db.write(lambda tx: tx.execute(update(staff_certificates).values(fingerprint=staff_certificates.c.der)))
    assert {one.what for one in compare(bank)} == {Disagreement.DIFFERS, Disagreement.NOT_IN_JOURNAL}


def test_an_installation_from_before_has_what_it_had_taken_in_once(bank: World, office: Office) -> None:
    with_it = bank.ports
    bank.ports = replace(bank.ports, staff_records={})
    office.add("kakari01", Role.CLERK)
    office.add("kenin01", Role.APPROVER)
    end_staff(bank.ports, bank=bank.bank, staff_id="kenin01", actor=OPERATOR)
    bank.ports = with_it
    assert not journal_of(bank).begun
    assert not notice_restore(bank.ports, bank=CODE, actor=OPERATOR)
    assert [one.ended_at is None for one in sorted(journal_of(bank).records(), key=lambda one: one.staff_id)] == [
        True,
        False,
    ]
    assert compare(bank) == []


def test_an_end_that_the_journal_was_not_told_of_is_written_down_later(
    bank: World, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaver = office.add("kakari01", Role.CLERK)

    def fail(*_: object) -> None:
        raise JournalNotWritten("no room")

    with monkeypatch.context() as patched:
        patched.setattr(StaffJournal, "note_ended", fail)
        end_staff(bank.ports, bank=bank.bank, staff_id="kakari01", actor=OPERATOR)
    with pytest.raises(CertificateRevoked):
        enter(bank, leaver)
    assert journal_of(bank).records()[0].ended_at is None
    assert not notice_restore(bank.ports, bank=CODE, actor=OPERATOR)
    assert journal_of(bank).records()[0].ended_at is not None


def test_a_certificate_that_could_not_be_written_down_is_given_to_nobody(
    bank: World, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.add("kenin01", Role.APPROVER)

    def fail(*_: object) -> None:
        raise JournalNotWritten("no room")

    with monkeypatch.context() as patched:
        patched.setattr(StaffJournal, "add", fail)
        with pytest.raises(JournalNotWritten):
            office.add("kakari01", Role.CLERK)
    assert [one.what for one in compare(bank)] == [Disagreement.NOT_IN_JOURNAL]
    bank.later(minutes=1)
    renew_staff(bank.ports, bank=bank.bank, staff_id="kakari01", issue=office.issue, actor=OPERATOR)
    assert compare(bank) == []


def test_a_damaged_journal_keeps_no_customer_out(bank: World, office: Office, folder: Path) -> None:
    office.add("kakari01", Role.CLERK)
    segment = folder / "journal/00000001.journal"
    data = bytearray(segment.read_bytes())
    data[40] ^= 1
    segment.write_bytes(data)
    (folder / "journal/index.sqlite").unlink()
    assert not notice_restore(bank.ports, bank=CODE, actor=OPERATOR)
    with pytest.raises(JournalBroken):
        compare(bank)


def test_several_write_at_once(bank: World, office: Office) -> None:
    names = [f"kakari{n:02}" for n in range(6)]
    threads = [threading.Thread(target=office.add, args=(name, Role.CLERK)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.staff_id for one in journal_of(bank).records()) == names
    assert compare(bank) == []
