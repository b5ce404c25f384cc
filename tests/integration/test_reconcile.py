"""Orders, certificates and the CA's journal agree, or it is said where they do not; a restore un-revokes nothing."""

# ruff: noqa: S608 - what is put into the SQL is the test's own
from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from tests.support.est_client import enroll, new_key
from tests.support.served import Served, free_port_base
from tests.support.world import KEIRI01, KEIRI02, World, journaled, new_csr, world

from sekisho.background import DatabaseBehind, publish
from sekisho.ca.authority import Authority
from sekisho.domain.certificate import Reason
from sekisho.domain.errors import CertificateRevoked, CertificateUnknown, PermitMissing, PermitSpent
from sekisho.domain.person import Kind
from sekisho.store import restores
from sekisho.store.audit import Actor
from sekisho.usecases.findings import Disagreement, Finding, Tally
from sekisho.usecases.publish_crl import publish_crls
from sekisho.usecases.reconcile import notice_restore, reconcile
from sekisho.usecases.revoke_certificate import revoke_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sekisho.domain.certificate import IssuedCertificate

ACTOR = Actor("test")


@pytest.fixture
def bank(tmp_path: Path, engine: str) -> Iterator[World]:
    """Open a bank whose CA keeps a journal."""
    with world(tmp_path, engine) as opened, journaled(opened, tmp_path / "journal"):
        yield opened


def compare(bank: World, *, repair: bool = False, partial: bool = False) -> tuple[list[Finding], Tally]:
    tally = Tally()
    found = reconcile(bank.ports, bank=bank.bank.code, actor=ACTOR, repair=repair, tally=tally, partial=partial)
    return list(found), tally


def notice(bank: World) -> bool:
    return notice_restore(bank.ports, bank=bank.bank.code, actor=ACTOR)


def revoke(bank: World, certificate: IssuedCertificate, reason: Reason = Reason.KEY_COMPROMISE) -> None:
    revoke_certificate(bank.ports, serial=certificate.serial, reason=reason, actor=ACTOR)
    bank.later(seconds=5)
    assert publish_crls(bank.ports, bank=bank.bank.code)


def forget_certificate(bank: World, certificate: IssuedCertificate) -> None:
    """Make the database what a backup of before this certificate's order would be."""
    bank.change_unguarded(
        f"DELETE FROM certificate_bytes WHERE certificate_id = {certificate.id}",
        f"DELETE FROM crl_entries WHERE certificate_id = {certificate.id}",
        f"DELETE FROM certificates WHERE id = {certificate.id}",
        f"DELETE FROM orders WHERE id = {certificate.order_id}",
        "UPDATE permits SET spent_at = NULL WHERE person_id = "
        f"(SELECT id FROM people WHERE user_id = '{certificate.person.user_id}')",
    )


def forget_ending(bank: World, certificate: IssuedCertificate) -> None:
    """Make the database what a backup of before this certificate's end would be."""
    bank.change_unguarded(
        f"DELETE FROM crl_entries WHERE certificate_id = {certificate.id}",
        f"UPDATE certificates SET ended_at = NULL, ending = NULL, reason = NULL WHERE id = {certificate.id}",
    )


def behind(bank: World) -> bool:
    with bank.db.read() as tx:
        return restores.is_behind(tx, bank.bank.code)


def test_what_agrees_is_left_alone(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    revoke(bank, bank.acquire(KEIRI02))
    assert compare(bank) == ([], Tally(certificates=2, journal=2))
    assert compare(bank, repair=True) == ([], Tally(certificates=2, journal=2))
    assert not notice(bank)
    assert not behind(bank)
    assert bank.resume(held, bank.log_on(held))


def test_an_order_that_waits_is_no_disagreement(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    bank.change_unguarded(
        f"DELETE FROM certificate_bytes WHERE certificate_id = {held.id}",
        f"DELETE FROM certificates WHERE id = {held.id}",
        f"INSERT INTO unfinished_orders VALUES ({held.order_id})",
    )
    found, tally = compare(bank)
    assert (found, tally.waiting) == ([], 1)
    assert not notice(bank)


def test_what_the_journal_has_of_an_order_that_ended_as_refused_comes_back_ended(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    bank.change_unguarded(
        f"DELETE FROM certificate_bytes WHERE certificate_id = {held.id}",
        f"DELETE FROM certificates WHERE id = {held.id}",
        f"UPDATE orders SET refused_at = ordered_at WHERE id = {held.order_id}",
    )
    missing = Finding(Disagreement.MISSING, Kind.USER, held.serial)
    assert compare(bank)[0] == [missing]
    assert compare(bank, repair=True)[0] == [replace(missing, repaired=True)]
    (stored,) = bank.rows("SELECT ended_at, reason FROM certificates")
    assert (stored.reason, stored.ended_at is None) == ("superseded", False)
    assert compare(bank)[0] == []


def test_a_certificate_that_a_backup_lacks_comes_back_with_its_order_and_its_permit_spent(bank: World) -> None:
    key = new_csr()
    held = bank.acquire(KEIRI01, key)
    bank.later(hours=3)
    forget_certificate(bank, held)
    with pytest.raises(CertificateUnknown):
        bank.log_on(held)
    assert notice(bank)
    assert behind(bank)
    missing = Finding(Disagreement.MISSING, Kind.USER, held.serial)
    assert compare(bank)[0] == [missing]
    assert behind(bank), "looking repairs nothing"
    assert compare(bank, repair=True)[0] == [replace(missing, repaired=True)]
    assert not behind(bank)
    assert compare(bank) == ([], Tally(certificates=1, journal=1))
    assert bank.resume(held, bank.log_on(held))
    assert bank.acquire(KEIRI01, key).der == held.der, "the same key gets the same bytes"
    with pytest.raises(PermitSpent):
        bank.acquire(KEIRI01)
    actions = [row.action for row in bank.rows("SELECT action FROM audit ORDER BY id")]
    assert actions.count("certificate-restored") == 1
    assert actions.count("restore-noticed") == 1
    assert actions.count("restore-repaired") == 1


def test_one_of_a_newer_issuing_ca_comes_back_as_such(bank: World) -> None:
    code = bank.bank.code
    before = bank.ports.records[code]
    assert isinstance(before, Authority)
    bank.rotate()
    authority = Authority(bank.ports.cas[code], before.journal, now=lambda: bank.clock[0])  # type: ignore[arg-type]
    bank.ports = replace(bank.ports, cas={code: authority}, records={code: authority})
    held = bank.acquire(KEIRI01)
    forget_certificate(bank, held)
    assert [one.repaired for one in compare(bank, repair=True)[0]] == [True]
    for table in ("orders", "certificates"):
        (row,) = bank.rows(f"SELECT generation, shard FROM {table} WHERE kind = 'user'")
        assert (row.generation, row.shard) == (2, held.shard)
    revoke_certificate(bank.ports, serial=held.serial, reason=Reason.KEY_COMPROMISE, actor=ACTOR)
    (row,) = bank.rows("SELECT generation FROM crl_entries")
    assert row.generation == 2


def test_a_restore_un_revokes_nothing(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    bank.later(minutes=5)
    revoke(bank, held)
    (ended,) = bank.rows("SELECT ended_at FROM certificates")
    bank.later(days=1)
    forget_ending(bank, held)
    assert bank.resume(held, bank.log_on(held)), "the backup knows nothing of it"
    assert compare(bank)[0] == [Finding(Disagreement.ENDING_FORGOTTEN, Kind.USER, held.serial)]
    assert notice(bank), "a start notices it"
    with pytest.raises(CertificateRevoked):
        bank.log_on(held)
    (again,) = bank.rows("SELECT ended_at, reason FROM certificates")
    assert again.reason == "keyCompromise"
    assert str(again.ended_at)[:19] == str(ended.ended_at)[:19], "since when it was revoked stays"
    with pytest.raises(DatabaseBehind):
        publish(bank.ports, bank.bank)
    assert compare(bank, repair=True)[0] == []
    assert not behind(bank)
    bank.later(seconds=5)
    assert publish(bank.ports, bank.bank)
    listed = x509.load_der_x509_crl(bank.rows("SELECT der FROM crls WHERE name = 'user'")[0].der)
    entry = listed.get_revoked_certificate_by_serial_number(held.serial)
    assert entry is not None
    assert entry.revocation_date_utc < bank.clock[0].replace(hour=0)


def test_a_certificate_that_was_revoked_after_the_backup_that_lacks_it_comes_back_revoked(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    bank.later(minutes=5)
    revoke(bank, held)
    forget_certificate(bank, held)
    assert notice(bank)
    found, _ = compare(bank, repair=True)
    assert found == [Finding(Disagreement.MISSING, Kind.USER, held.serial, repaired=True)]
    with pytest.raises(CertificateRevoked):
        bank.log_on(held)
    assert compare(bank)[0] == []


def test_of_two_forgotten_certificates_the_newer_takes_the_place_of_the_older(bank: World) -> None:
    first = bank.acquire(KEIRI01)
    bank.later(hours=1)
    bank.change(
        "INSERT INTO permits (person_id, granted_at, expires_at, misses) "
        "SELECT person_id, granted_at, expires_at, 0 FROM permits WHERE person_id = "
        "(SELECT id FROM people WHERE user_id = 'keiri01')"
    )
    second = bank.acquire(KEIRI01)
    for one in (second, first):
        forget_certificate(bank, one)
    found, _ = compare(bank, repair=True)
    assert all(one.repaired for one in found)
    assert len(found) == 2
    rows = bank.rows("SELECT id, serial, supersedes FROM certificates ORDER BY id")
    assert [row.serial for row in rows] == [f"{one.serial:032x}" for one in (first, second)]
    assert [row.supersedes for row in rows] == [None, rows[0].id]


def test_somebody_whom_the_backup_does_not_know_stays_out_and_it_is_said(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    forget_certificate(bank, held)
    bank.change_unguarded("UPDATE people SET user_id = 'other', user_key = 'other' WHERE user_id = 'keiri01'")
    assert notice(bank)
    unrepaired = Finding(Disagreement.MISSING, Kind.USER, held.serial, why="person-unknown")
    assert compare(bank, repair=True)[0] == [unrepaired]
    assert behind(bank)
    with pytest.raises(CertificateUnknown):
        bank.log_on(held)


def test_what_the_ca_never_signed_and_what_was_changed_is_found_and_not_repaired(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    other = bank.acquire(KEIRI02)
    bank.change_unguarded(
        f"UPDATE certificates SET serial = '{1:032x}' WHERE id = {held.id}",
        f"UPDATE orders SET serial = '{1:032x}' WHERE id = {held.order_id}",
    )
    if bank.db.reading.dialect.name == "postgresql":
        changed = f"UPDATE certificates SET fingerprint = '\\x{'ab' * 32}' WHERE id = {other.id}"
    else:
        changed = f"UPDATE certificates SET fingerprint = x'{'ab' * 32}' WHERE id = {other.id}"
    bank.change_unguarded(changed)
    found, _ = compare(bank)
    assert {(one.what, one.serial) for one in found} == {
        (Disagreement.NOT_IN_JOURNAL, 1),
        (Disagreement.MISSING, held.serial),
        (Disagreement.DIFFERS, other.serial),
    }
    partial, _ = compare(bank, partial=True)
    assert Disagreement.NOT_IN_JOURNAL not in {one.what for one in partial}
    repaired, _ = compare(bank, repair=True)
    by_what = {one.what: one for one in repaired}
    assert not by_what[Disagreement.DIFFERS].repaired
    assert not by_what[Disagreement.NOT_IN_JOURNAL].repaired
    # Its key stands in the order with the other serial number.
    assert by_what[Disagreement.MISSING].why == "key-ordered-again"


def test_an_erased_contract_is_rightly_unknown(bank: World, tmp_path: Path) -> None:
    held = bank.acquire(KEIRI01)
    bank.clock[0] = datetime(2040, 1, 1, tzinfo=UTC)
    authority = bank.ports.cas[bank.bank.code]
    assert isinstance(authority, Authority)
    assert authority.erase(bank.bank.code, held.person.contract_id)
    forget_certificate(bank, held)
    assert not notice(bank)
    assert compare(bank)[0] == []


def test_a_permit_that_was_granted_later_is_not_spent_by_a_repair(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    forget_certificate(bank, held)
    bank.change_unguarded("DELETE FROM permits WHERE person_id = (SELECT id FROM people WHERE user_id = 'keiri01')")
    assert all(one.repaired for one in compare(bank, repair=True)[0])
    with pytest.raises(PermitMissing):
        bank.acquire(KEIRI01)


def test_a_restored_file_is_noticed_at_the_start_and_repaired_by_the_operator(tmp_path: Path) -> None:
    served = Served(tmp_path / "data", free_port_base())
    served.start()
    try:
        served.stop()
        database, backup = served.data_dir / "sekisho.db", tmp_path / "backup.db"
        assert not (served.data_dir / "sekisho.db-wal").exists(), "all is in the one file"
        shutil.copy(database, backup)
        served.start()
        key = new_key(tmp_path, "new")
        der = key.save(enroll(served, key, served.user("keiri02")))
        serial = f"{x509.load_der_x509_certificate(der).serial_number:032x}"
        agreed = served.sekisho("ca", "reconcile", "--verify")
        assert agreed.returncode == 0, agreed.stdout + agreed.stderr
        served.stop()
        shutil.copy(backup, database)
        served.start()
        assert "the database is older than the CA's journal" in served.log()
        served.stop()
        # Without a running server the command starts the CA itself.
        found = served.sekisho("ca", "reconcile", "--json")
        assert found.returncode == 30
        finding, summary = [json.loads(line) for line in found.stdout.splitlines()]
        assert (finding["finding"], finding["serial"], finding["repaired"]) == ("certificate-missing", serial, False)
        assert (summary["journal"], summary["certificates"], summary["disagreements"]) == (7, 6, 1), "four of staff"
        repaired = served.sekisho("ca", "reconcile", "--repair")
        assert repaired.returncode == 0, repaired.stdout
        assert "repaired" in repaired.stdout
        served.start()
        assert key.save(enroll(served, key, served.user("keiri02"))) == der
        assert served.sekisho("ca", "reconcile").returncode == 0
    finally:
        served.stop()
