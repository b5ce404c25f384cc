"""An end stands in the CA's journal before anybody is told of it, and waits for no CA that is away."""

from __future__ import annotations

import errno
import os
import signal
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.authority import NOW, Running, running
from tests.support.counter import Counter
from tests.support.patience import wait_until
from tests.support.world import ADMINISTRATOR, KEIRI01, KEIRI02, World, journaled, world

from sekisho.ca.client import CaClient
from sekisho.ca.record import EndedRecord, read_ended, write_ended
from sekisho.domain.certificate import Reason
from sekisho.domain.errors import CaAway, CertificateReissued, CertificateRevoked, Refusal, StoreAway, TooManyRequests
from sekisho.domain.person import Kind
from sekisho.domain.request_forms import FormKind
from sekisho.store import restores
from sekisho.store.audit import Actor
from sekisho.usecases.change_user import Change, permit_reissue, revoke_of_user
from sekisho.usecases.journal_endings import journal_at_once, journal_endings
from sekisho.usecases.lift_certificate import lift_certificate
from sekisho.usecases.reconcile import notice_restore
from sekisho.usecases.revoke_certificate import revoke_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sekisho.domain.certificate import IssuedCertificate

CODE = "9990"
OPERATOR = Actor("operator:test")


@pytest.fixture
def bank(tmp_path: Path, engine: str) -> Iterator[World]:
    with world(tmp_path, engine) as opened, journaled(opened, tmp_path / "journal"):
        yield opened


def revoke(bank: World, certificate: IssuedCertificate, reason: Reason = Reason.KEY_COMPROMISE) -> None:
    revoke_certificate(bank.ports, serial=certificate.serial, reason=reason, actor=OPERATOR)


def change(bank: World, administrator: IssuedCertificate, user_id: str) -> Change:
    current = bank.resume(administrator, bank.log_on(administrator))
    return Change(current.session, current.certificate.id, user_id, "kanri2bb", "192.0.2.7")


def in_journal(bank: World) -> dict[int, Reason]:
    journal: Any = bank.ports.records[CODE]
    return {one.serial: one.reason for one in journal.endings(None)}


def due(bank: World) -> int:
    return len(bank.rows("SELECT * FROM crl_entries WHERE journal_due_at IS NOT NULL"))


def unend(bank: World, certificate: IssuedCertificate) -> None:
    """Set the database back to before the end, as a restored backup does."""
    bank.change_unguarded(
        f"UPDATE certificates SET ended_at = NULL, ending = NULL, reason = NULL WHERE id = {certificate.id}",  # noqa: S608 - a number
        f"DELETE FROM crl_entries WHERE certificate_id = {certificate.id}",  # noqa: S608 - a number
    )


def test_a_revocation_stands_there_at_once_and_without_a_list(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    revoke(bank, held)
    assert in_journal(bank) == {held.serial: Reason.KEY_COMPROMISE}
    assert bank.rows("SELECT * FROM crls") == []
    assert due(bank) == 1, "the mark is the worker's"
    assert journal_endings(bank.ports, bank=CODE) == 1
    assert (journal_endings(bank.ports, bank=CODE), due(bank)) == (0, 0)


def test_a_restore_right_after_a_revocation_does_not_take_it_back(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    revoke(bank, held)
    unend(bank, held)
    assert bank.log_on(held)
    assert notice_restore(bank.ports, bank=CODE, actor=OPERATOR)
    with pytest.raises(CertificateRevoked):
        bank.log_on(held)
    with bank.db.read() as tx:
        assert restores.is_behind(tx, CODE)


def test_what_an_administrator_ends_stands_there_at_once(bank: World) -> None:
    administrator, first, second = bank.acquire(ADMINISTRATOR), bank.acquire(KEIRI01), bank.acquire(KEIRI02)
    permit_reissue(bank.ports, bank=bank.bank, change=change(bank, administrator, "keiri01"))
    assert in_journal(bank) == {first.serial: Reason.SUPERSEDED}
    revoke_of_user(bank.ports, bank=bank.bank, change=change(bank, administrator, "keiri02"))
    assert in_journal(bank)[second.serial] is Reason.PRIVILEGE_WITHDRAWN
    assert not notice_restore(bank.ports, bank=CODE, actor=OPERATOR), "the database knows both"


def test_what_a_logon_ends_is_left_to_the_worker(bank: World) -> None:
    old = bank.acquire(KEIRI01)
    bank.later(days=340)
    new = bank.renew(old)
    bank.log_on(new)
    assert (in_journal(bank), due(bank)) == ({}, 1)
    assert journal_endings(bank.ports, bank=CODE) == 1
    assert in_journal(bank) == {old.serial: Reason.SUPERSEDED}


def test_a_hold_is_no_end_and_its_date_goes_with_the_end(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    since = bank.clock[0]
    revoke(bank, held, Reason.CERTIFICATE_HOLD)
    assert (in_journal(bank), due(bank)) == ({}, 0)
    lift_certificate(bank.ports, serial=held.serial, actor=OPERATOR)
    assert due(bank) == 0
    revoke(bank, held, Reason.CERTIFICATE_HOLD)
    bank.later(hours=1)
    revoke(bank, held)
    journal: Any = bank.ports.records[CODE]
    assert journal.endings(None) == [EndedRecord(Kind.USER, held.serial, since, Reason.KEY_COMPROMISE)]


class Broken:
    """A CA that is away, or slow."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def note_ended(self, _: object) -> None:
        raise CaAway

    def note_ended_now(self, _: object) -> bool:
        return False


def test_an_end_fails_with_no_ca_and_is_told_once_there_is_one(bank: World) -> None:
    administrator, held = bank.acquire(ADMINISTRATOR), bank.acquire(KEIRI01)
    there = bank.ports
    bank.ports = replace(there, records={CODE: Broken(there.records[CODE])})
    permit_reissue(bank.ports, bank=bank.bank, change=change(bank, administrator, "keiri01"))
    with pytest.raises(CertificateReissued):
        bank.log_on(held)
    with pytest.raises(CaAway):
        journal_endings(bank.ports, bank=CODE)
    bank.ports = there
    assert due(bank) == 1
    assert journal_endings(bank.ports, bank=CODE) == 1
    assert (in_journal(bank), due(bank)) == ({held.serial: Reason.SUPERSEDED}, 0)


class Failing(Broken):
    """A journal on a disk that is full."""

    def note_ended_now(self, _: object) -> bool:
        raise OSError(errno.ENOSPC, "no space left")


def test_a_journal_that_fails_hides_nothing_of_what_is_committed(bank: World, caplog: pytest.LogCaptureFixture) -> None:
    """The answer may be the one page with provisional PINs."""
    counter, held = Counter(bank), bank.acquire(ADMINISTRATOR)
    there = bank.ports
    bank.ports = replace(there, records={CODE: Failing(there.records[CODE])})
    change = {"new_administrator": "後任 花子", "mail_address": "hanako@example.co.jp"}
    issued = counter.through(FormKind.CONTRACT_CHANGE, **change)
    assert issued is not None
    assert "the worker tells it later" in caplog.text
    bank.ports = there
    assert journal_endings(bank.ports, bank=CODE) == 1
    assert held.serial in in_journal(bank)


def test_without_a_journal_there_is_nothing_to_tell(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    bank.ports = replace(bank.ports, records={})
    revoke(bank, held)
    journal_at_once(bank.ports, bank=CODE)
    assert journal_endings(bank.ports, bank=CODE) == 0


@pytest.fixture
def ca(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "ca") as one:
        yield one


def ended(serial: int) -> EndedRecord:
    return EndedRecord(Kind.USER, serial, NOW, Reason.SUPERSEDED)


def test_the_process_notes_many_and_the_same_again(ca: Running) -> None:
    many = [ended(serial) for serial in range(1, 601)]
    with closing(CaClient(ca.socket)) as client:
        client.note_ended(many)
        wait_until(lambda: client.note_ended_now(many[:5]))
        found: list[EndedRecord] = []
        while page := client.endings(found[-1].key if found else None):
            found += page
        assert found == many
        ca.kill()
        assert not client.note_ended_now([ended(700)])
        with pytest.raises(CaAway):
            client.note_ended([ended(700)])
        ca.start()
        client.note_ended([ended(700)])
        assert client.endings((Kind.USER, 600)) == [ended(700)]


@pytest.mark.parametrize("late", [StoreAway, TooManyRequests])
def test_what_is_done_is_done_though_the_journal_cannot_be_told_at_once(bank: World, late: type[Refusal]) -> None:
    held = bank.acquire(KEIRI01)
    revoke(bank, held)
    db: Any = bank.ports.db

    class Late:
        def __getattr__(self, name: str) -> Any:
            return getattr(db, name)

        def read(self) -> Any:
            raise late

    journal_at_once(replace(bank.ports, db=Late()), bank=CODE)


def test_nobody_waits_for_a_ca_that_hangs(ca: Running) -> None:
    with closing(CaClient(ca.socket)) as client:
        client.note_ended([ended(1)])
        os.kill(ca.pid, signal.SIGSTOP)
        try:
            before = time.monotonic()
            assert not client.note_ended_now([ended(2)])
            first = time.monotonic() - before
            before = time.monotonic()
            assert not any(client.note_ended_now([ended(serial)]) for serial in range(3, 103))
            rest = time.monotonic() - before
        finally:
            os.kill(ca.pid, signal.SIGCONT)
    # Far below the ten seconds of who waits for an answer, and below a hundred times what one costs who does not.
    assert first < 8, "it gives up soon"
    assert rest < 4, "and then asks no more for a while"


def test_what_is_no_end_is_refused() -> None:
    one = ended(5)
    assert read_ended(write_ended(one)) == one
    for data in (
        b"",
        b"+",
        write_ended(one) * 2,
        write_ended(one)[:-1],
        write_ended(replace(one, reason=Reason.CERTIFICATE_HOLD)),
    ):
        with pytest.raises(ValueError, match="end"):
            read_ended(data)
