"""The CA's journal: what it keeps through a crash, what it calls damage, and what it forgets for good."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.authority import BANK, NOW, PKI_URL, new_hierarchy, order

from sekisho.ca import journal as journal_module
from sekisho.ca.authority import RETENTION, Authority
from sekisho.ca.blocks import JournalBroken
from sekisho.ca.entries import Ended
from sekisho.ca.journal import AlreadyJournaled, Journal
from sekisho.ca.record import StillKept
from sekisho.ca.sealing import ContractErased, Draft, Known
from sekisho.ca.segments import JournalInUse, JournalNotWritten
from sekisho.ca.signer import Signer
from sekisho.domain.certificate import Reason
from sekisho.domain.errors import CaAway
from sekisho.domain.person import Kind
from sekisho.pki import crl
from sekisho.pki.profile import ProfileBroken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEY = b"k" * 32
MADE = new_hierarchy()
AFTER = datetime(2027, 11, 24, tzinfo=UTC)
CONTRACT = "9990/12345678901"


def draft(serial: int, *, contract: str = CONTRACT, asked: bytes = b"", der: bytes = b"") -> Draft:
    return Draft(
        kind=Kind.USER,
        serial=serial,
        contract=contract,
        order_digest=hashlib.sha256(asked or str(serial).encode()).digest(),
        der=der or b"certificate of %d" % serial,
        signed_at=NOW,
        not_after=AFTER,
    )


def kill(journal: Journal) -> None:
    """Leave it as a killed process does."""
    journal._held.close()
    journal._open = False


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def opened(folder: Path) -> Iterator[Callable[[], Journal]]:
    """Open the journal; what was open before is left as a killed process leaves it, without a word to the index."""
    last: list[Journal] = []

    def open_it() -> Journal:
        for one in last:
            kill(one)
        last.clear()
        last.append(Journal(folder, KEY, longest_segment=2000))
        return last[0]

    yield open_it
    for one in last:
        one.close()


def found(journal: Journal, serial: int) -> Known | Exception | None:
    return journal.known([(Kind.USER, serial)]).get((Kind.USER, serial))


def told(journal: Journal, serial: int) -> bytes | None:
    known = found(journal, serial)
    assert not isinstance(known, Exception)
    return None if known is None else known.der


def grown(journal: Journal, count: int, start: int = 1) -> None:
    for serial in range(start, start + count):
        assert [one.der for one in journal.add([draft(serial)]) if isinstance(one, Known)]


def newest(folder: Path) -> Path:
    return max(folder.glob("*.journal"))


def lose_index(folder: Path) -> None:
    for file in folder.glob("index.sqlite*"):
        file.unlink()


def flip(file: Path, octet: int) -> None:
    data = bytearray(file.read_bytes())
    data[octet] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("keep_index", [True, False])
def test_what_was_written_down_is_there_after_a_kill_with_the_index_and_without(
    folder: Path, opened: Callable[[], Journal], *, keep_index: bool
) -> None:
    journal = opened()
    grown(journal, 40)
    journal.add([draft(100 + n, contract=f"9990/{n:011}") for n in range(50)])
    end = journal.upto
    assert end.segment > 3, "it goes over several files"
    if not keep_index:
        lose_index(folder)
    again = opened()
    assert (again.upto.number, again.upto.digest, again.upto.certificates) == (end.number, end.digest, 90)
    for serial in (*range(1, 41), *range(100, 150)):
        assert told(again, serial) == b"certificate of %d" % serial
    assert told(again, 41) is None
    assert again.verify() == again.upto
    again.add([draft(1000, contract="9990/00000000007")])
    assert again.upto.slots == end.slots, "a contract that has a key keeps it"
    again.add([draft(1001, contract="9990/00000000099")])
    assert again.upto.slots == end.slots + 1
    assert [told(opened(), serial) for serial in (1000, 1001)] == [b"certificate of 1000", b"certificate of 1001"]


def test_one_serial_number_has_one_order_and_one_order_has_its_first_bytes(opened: Callable[[], Journal]) -> None:
    journal = opened()
    first, other, repeated = journal.add(
        [draft(1, asked=b"a", der=b"first"), draft(1, asked=b"b"), draft(1, asked=b"a", der=b"another signature")]
    )
    assert isinstance(first, Known)
    assert isinstance(other, AlreadyJournaled)
    assert repeated == first
    again, other_again = opened().add([draft(1, asked=b"a", der=b"a third"), draft(1, asked=b"b")])
    assert again == first
    assert isinstance(other_again, AlreadyJournaled)


def test_a_write_that_was_cut_short_anywhere_is_cut_off_and_nothing_else(
    folder: Path, opened: Callable[[], Journal]
) -> None:
    journal = opened()
    grown(journal, 2)
    keep = journal.upto
    grown(journal, 1, start=3)
    whole = newest(folder).read_bytes()
    assert keep.segment == journal.upto.segment
    for length in {*range(keep.octet, len(whole), 11), keep.octet + 1, len(whole) - 1}:
        lose_index(folder)
        newest(folder).write_bytes(whole[:length])
        again = opened()
        assert (again.upto.number, again.upto.octet) == (keep.number, keep.octet), length
        assert newest(folder).stat().st_size == keep.octet
        assert told(again, 2) is not None
        assert told(again, 3) is None
    grown(opened(), 3, start=3)
    assert told(opened(), 5) is not None


def test_sectors_that_a_machine_without_power_never_wrote_are_a_cut_write(
    folder: Path, opened: Callable[[], Journal]
) -> None:
    journal = opened()
    grown(journal, 1)
    keep = journal.upto
    journal.add([draft(2, der=os.urandom(1500))])
    kill(journal)
    data = newest(folder).read_bytes()
    lose_index(folder)
    newest(folder).write_bytes(data[:1024] + bytes(512) + data[1536:])
    other = Journal(folder, KEY)
    assert other.upto.number == keep.number
    other.close()


@pytest.mark.parametrize("with_index", [True, False])
@pytest.mark.parametrize("where", ["head of the first", "body of the first", "body of the last", "end of the last"])
def test_damage_stops_the_ca_wherever_it_is(
    folder: Path, opened: Callable[[], Journal], where: str, *, with_index: bool
) -> None:
    journal = opened()
    grown(journal, 1)
    first = journal.upto.octet
    grown(journal, 2, start=2)
    journal.close()
    octet = {"head of the first": 9, "body of the first": first // 2, "body of the last": -100, "end of the last": -1}
    flip(newest(folder), octet[where])
    if with_index and where != "end of the last":
        # A start that trusts what was flushed long ago does not read it all again: the whole is read when asked.
        with_flip = Journal(folder, KEY)
        with pytest.raises(JournalBroken):
            with_flip.verify()
        with_flip.close()
        return
    if not with_index:
        lose_index(folder)
    with pytest.raises(JournalBroken, match=r"00000001\.journal"):
        Journal(folder, KEY)
    # Nothing was changed, and nobody holds it.
    with pytest.raises(JournalBroken):
        Journal(folder, KEY)


def test_a_certificate_that_was_changed_in_place_is_not_handed_out(folder: Path, opened: Callable[[], Journal]) -> None:
    journal = opened()
    grown(journal, 1)
    flip(newest(folder), -50)
    assert isinstance(found(journal, 1), JournalBroken)
    assert isinstance(journal.add([draft(1)])[0], JournalBroken)


def test_a_journal_that_lost_what_was_acknowledged_is_not_gone_on_with(
    folder: Path, opened: Callable[[], Journal]
) -> None:
    journal = opened()
    grown(journal, 3)
    journal.close()
    data = newest(folder).read_bytes()
    newest(folder).write_bytes(data[: len(data) // 2])
    with pytest.raises(JournalBroken, match="shorter"):
        Journal(folder, KEY)
    newest(folder).unlink()
    with pytest.raises(JournalBroken, match="shorter"):
        Journal(folder, KEY)


def test_a_part_that_is_missing_or_another_journal_is_found(folder: Path, opened: Callable[[], Journal]) -> None:
    journal = opened()
    grown(journal, 30)
    journal.close()
    (folder / "00000002.journal").rename(folder.parent / "kept")
    with pytest.raises(JournalBroken, match="missing"):
        Journal(folder, KEY)
    (folder.parent / "kept").rename(folder / "00000002.journal")
    other_folder = folder.parent / "other"
    other = Journal(other_folder, KEY, longest_segment=2000)
    grown(other, 30, start=500)
    other.close()
    shutil.copy(newest(other_folder), newest(folder))
    with pytest.raises(JournalBroken):
        Journal(folder, KEY)


def test_the_journal_is_nothing_without_its_key(folder: Path, opened: Callable[[], Journal]) -> None:
    opened().add([draft(1, der=b"a certificate that names somebody")])
    opened().close()
    for file in folder.iterdir():
        assert b"somebody" not in file.read_bytes(), file.name
        assert CONTRACT.encode() not in file.read_bytes(), file.name
        assert file.stat().st_mode & 0o077 == 0 or file.suffix in {".sqlite-wal", ".sqlite-shm"}, file.name
    lose_index(folder)
    with pytest.raises(JournalBroken, match="key"):
        Journal(folder, b"another key, of thirty-two bytes")


def test_an_erased_contract_cannot_be_read_again_and_the_chain_holds(
    folder: Path, opened: Callable[[], Journal]
) -> None:
    journal = opened()
    journal.add([draft(1), draft(2, contract="9990/00000000002"), draft(3)])
    assert not journal.erase("9990/00000000003", NOW), "the journal has nothing of that one"
    assert journal.erase(CONTRACT, NOW)
    for _ in range(3):
        again = opened()
        for serial in (1, 3):
            assert isinstance(found(again, serial), ContractErased)
        assert told(again, 2) is not None
        assert again.verify() == again.upto
        assert again.last_end(CONTRACT) is None
        erased = again.add([draft(1)])[0]
        assert isinstance(erased, ContractErased), "its serial number stays taken"
    assert (folder / "contract-keys").read_bytes()[:40] == bytes(40)
    lose_index(folder)
    again = opened()
    assert told(again, 2) is not None
    again.add([draft(4)])
    assert told(opened(), 4) is not None, "a contract that comes back begins anew"


def test_a_kill_between_the_note_and_the_destruction_is_made_good(
    folder: Path, opened: Callable[[], Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened()
    journal.add([draft(1)])

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as fault:
        fault.setattr("sekisho.ca.contract_keys.ContractKeys.destroy", die)
        with pytest.raises(Killed):
            journal.erase(CONTRACT, NOW)
    assert (folder / "contract-keys").read_bytes()[:40] != bytes(40)
    assert isinstance(found(opened(), 1), ContractErased)
    assert (folder / "contract-keys").read_bytes()[:40] == bytes(40)


def test_a_disk_that_is_full_gives_nothing_out_and_the_journal_goes_on_when_there_is_room(
    opened: Callable[[], Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened()
    grown(journal, 1)
    write = os.pwrite

    def half(file: int, data: bytes, octet: int) -> int:
        if len(data) < 100:
            raise OSError(28, "No space left on device")
        return write(file, data[:100], octet)

    with monkeypatch.context() as fault:
        fault.setattr(os, "pwrite", half)
        with pytest.raises(JournalNotWritten, match="No space"):
            journal.add([draft(2)])
        assert told(journal, 2) is None
    assert not journal.broken
    grown(journal, 2, start=2)
    assert told(opened(), 3) is not None
    assert opened().verify().certificates == 3


def test_a_flush_that_failed_ends_this_journal_until_a_new_start(
    opened: Callable[[], Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened()
    grown(journal, 1)

    def fail(_file: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as fault:
        fault.setattr(os, "fdatasync", fail)
        with pytest.raises(JournalNotWritten):
            journal.add([draft(2)])
    assert journal.broken
    with pytest.raises(JournalNotWritten):
        journal.add([draft(3)])
    grown(opened(), 1, start=4)


def fill_the_disk(journal: Journal) -> None:
    """Leave the index no page more than it has."""
    (pages,) = journal._index._db.execute("PRAGMA page_count").fetchone()
    journal._index._db.execute(f"PRAGMA max_page_count = {pages}")


def test_an_index_that_the_disk_has_no_room_for_is_saved_later_and_nothing_is_forgotten(
    opened: Callable[[], Journal], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(journal_module, "_MOST_RECENT", 50)
    journal = opened()
    fill_the_disk(journal)
    for serial in range(1, 400):
        (known,) = journal.add([draft(serial, contract=f"9990/{serial:011}")])
        assert isinstance(known, Known), "the journal has it"
    assert "cannot be saved" in caplog.text
    assert all(told(journal, serial) is not None for serial in range(1, 400))
    with pytest.raises(JournalNotWritten, match="index"):
        journal.certified(None, 10)
    journal._index._db.execute("PRAGMA max_page_count = 1000000")
    grown(journal, 1, start=400)
    assert len(journal.certified(None, 1000)) == 400
    assert journal.erase(f"9990/{7:011}", NOW)
    again = opened()
    assert [told(again, serial) for serial in (1, 399)] == [b"certificate of 1", b"certificate of 399"]
    assert again.upto.certificates == 400


def test_a_journal_whose_index_is_not_saved_at_its_end_lets_its_folder_go(
    folder: Path, opened: Callable[[], Journal]
) -> None:
    journal = Journal(folder, KEY)
    fill_the_disk(journal)
    for serial in range(1, 200):
        journal.add([draft(serial, contract=f"9990/{serial:011}")])
    journal.close()
    assert told(opened(), 199) is not None


def test_a_start_that_fails_lets_the_folder_go(
    folder: Path, opened: Callable[[], Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_path: Path) -> None:
        raise sqlite3.OperationalError("unable to open database file")

    with monkeypatch.context() as fault:
        fault.setattr(journal_module, "JournalIndex", fail)
        with pytest.raises(sqlite3.OperationalError):
            Journal(folder, KEY)
    grown(opened(), 1)


def test_no_slot_is_given_to_two_contracts_though_the_disk_was_full(
    opened: Callable[[], Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened()
    one, other = draft(1, contract="9990/11111111111"), draft(2, contract="9990/22222222222")

    def full(_slot: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as fault:
        fault.setattr(journal._sealing, "provide", full)
        with pytest.raises(OSError, match="No space"):
            journal.add([one])
    assert all(isinstance(known, Known) for known in journal.add([other, one]))
    assert journal.erase(one.contract, NOW)
    assert isinstance(found(journal, 1), ContractErased)
    assert told(journal, 2) == b"certificate of 2"


def test_a_contract_whose_key_is_damaged_keeps_nobody_else_from_theirs(opened: Callable[[], Journal]) -> None:
    journal = opened()
    ca = authority(journal)
    assert isinstance(ca.sign_all([order()])[0], bytes)
    journal._sealing.destroy(0)  # as a disk does it, without a note
    asked = order()
    waits, signed = ca.sign_all([asked, order(common_name="22222222222keiri019990")])
    assert isinstance(waits, CaAway), "its order waits, and does not end"
    assert isinstance(signed, bytes)
    assert found(journal, asked.serial) is None


def test_while_a_clock_is_wrong_orders_wait(opened: Callable[[], Journal]) -> None:
    asked = order()
    (outcome,) = authority(opened(), NOW - timedelta(days=9)).sign_all([asked])
    assert isinstance(outcome, CaAway)
    (signed,) = authority(opened(), NOW).sign_all([asked])
    assert isinstance(signed, bytes)
    (refused,) = authority(opened(), NOW + timedelta(days=900)).sign_all([order()])
    assert isinstance(refused, ProfileBroken)


def test_one_process_alone_writes_it(
    folder: Path, opened: Callable[[], Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened()
    monkeypatch.setattr("sekisho.ca.segments._HOLD_S", 0.1)
    with pytest.raises(JournalInUse):
        Journal(folder, KEY)


def authority(journal: Journal, now: datetime = NOW) -> Authority:
    return Authority(Signer(BANK, MADE.cas, PKI_URL, now=lambda: now), journal, now=lambda: now)


def test_what_waits_at_once_is_flushed_at_once(opened: Callable[[], Journal], monkeypatch: pytest.MonkeyPatch) -> None:
    journal = opened()
    ca = authority(journal)
    begun, go_on, flushes = threading.Event(), threading.Event(), []
    flush = os.fdatasync

    def slow(file: int) -> None:
        flushes.append(file)
        begun.set()
        assert go_on.wait(20)
        flush(file)

    monkeypatch.setattr(os, "fdatasync", slow)
    with ThreadPoolExecutor(21) as pool:
        first = pool.submit(ca.sign_all, [order()])
        assert begun.wait(20)
        others = [pool.submit(ca.sign_all, [order(), order()]) for _ in range(20)]
        while len(ca._gathered._waiting) < 20:
            threading.Event().wait(0.005)
        assert not any(one.done() for one in (first, *others)), "nothing is answered before the flush"
        go_on.set()
        assert all(isinstance(der, bytes) for one in (first, *others) for der in one.result(20))
    assert len(flushes) == 2
    assert opened().upto.certificates == 41


def test_of_two_orders_for_one_serial_number_at_once_one_is_signed(opened: Callable[[], Journal]) -> None:
    ca = authority(opened())
    first = order()
    signed, refused, again = ca.sign_all([first, order(serial=first.serial), first])
    assert isinstance(signed, bytes)
    assert again == signed
    assert isinstance(refused, AlreadyJournaled)
    later, refused_later = ca.sign_all([first, order(serial=first.serial)])
    assert later == signed
    assert isinstance(refused_later, AlreadyJournaled)
    assert ca._under_way == {}


def test_an_order_keeps_its_bytes_when_key_and_profile_change(opened: Callable[[], Journal]) -> None:
    asked = order()
    signed = authority(opened()).sign_all([asked])
    other = Authority(
        Signer(BANK, new_hierarchy().cas, "http://another.example.com", now=lambda: NOW), opened(), now=lambda: NOW
    )
    assert other.sign_all([asked]) == signed
    # The life of what was signed may be over by now.
    assert authority(opened(), NOW + timedelta(days=900)).sign_all([asked]) == signed


def test_what_a_list_names_is_written_down_once(folder: Path, opened: Callable[[], Journal]) -> None:
    ca = authority(opened())
    at = NOW - timedelta(hours=1)
    reasons = {1: Reason.KEY_COMPROMISE, 2: Reason.UNSPECIFIED, 3: Reason.SUPERSEDED, 4: Reason.CERTIFICATE_HOLD}

    def publish(later: int, *named: int) -> None:
        entries = b"".join(crl.entry(serial, at, reasons[serial]) for serial in named)
        dates: dict[str, Any] = {"this_update": NOW, "next_update": NOW + timedelta(days=1)}
        assert ca.sign_crl(Kind.USER, None, entries, number=int(NOW.timestamp()) + later, **dates)

    publish(1, 1, 2)
    size = newest(folder).stat().st_size
    publish(2, 1, 4, 2, 3)
    again = opened()
    for serial in (1, 2, 3):
        assert again.ended(Kind.USER, serial) == (at, reasons[serial])
    assert again.ended(Kind.ADMINISTRATOR, 1) is None
    assert again.ended(Kind.USER, 4) is None, "a certificate that is suspended has not ended"
    known = [Ended(Kind.USER, serial, NOW, Reason.UNSPECIFIED) for serial in (1, 2, 3)]
    assert again.note_ended(known) == 0, "how it ended first stands"
    assert again.ended(Kind.USER, 1) == (at, Reason.KEY_COMPROMISE)
    assert newest(folder).stat().st_size > size


def test_the_ca_itself_keeps_a_contract_for_as_long_as_the_rule_says(opened: Callable[[], Journal]) -> None:
    asked = order(common_name="12345678901keiri019990")
    assert authority(opened()).sign_all([asked])
    with pytest.raises(StillKept) as kept:
        authority(opened(), asked.not_after).erase("9990", "12345678901")
    assert kept.value.until == asked.not_after + RETENTION
    late = authority(opened(), kept.value.until)
    assert late.erase("9990", "12345678901")
    assert not late.erase("9990", "12345678901")
    assert isinstance(late.sign_all([asked])[0], ContractErased)
