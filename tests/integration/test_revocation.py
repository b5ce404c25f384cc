"""A certificate is suspended, lifted and revoked: at the door, in the lists, and for good."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from sqlalchemy.exc import IntegrityError
from tests.support.under_way import finish, put_under_way
from tests.support.world import ADMINISTRATOR, BANK, KEIRI01, KEIRI02, World

from sekisho.domain.certificate import Reason
from sekisho.domain.errors import (
    CertificateReissued,
    CertificateRevoked,
    CertificateSuspended,
    CertificateUnknown,
    KeyReused,
    SessionEndedCertificate,
    StoreAway,
)
from sekisho.domain.person import Kind
from sekisho.store.audit import Actor
from sekisho.usecases.lift_certificate import lift_certificate
from sekisho.usecases.meet_visitor import meet_visitor
from sekisho.usecases.publish_crl import publish_crls
from sekisho.usecases.read_users import read_users
from sekisho.usecases.revoke_certificate import revoke_certificate

if TYPE_CHECKING:
    from datetime import datetime

    from sekisho.domain.certificate import Certificate, IssuedCertificate

OPERATOR = Actor("operator:test")
SHARDS = 4


def revoke(bank: World, certificate: IssuedCertificate, reason: Reason = Reason.CERTIFICATE_HOLD) -> Certificate:
    return revoke_certificate(bank.ports, serial=certificate.serial, reason=reason, actor=OPERATOR)


def lift(bank: World, certificate: IssuedCertificate) -> Certificate:
    return lift_certificate(bank.ports, serial=certificate.serial, actor=OPERATOR)


def listed(bank: World, name: str = "user") -> x509.CertificateRevocationList:
    rows = bank.rows("SELECT der FROM crls WHERE bank = '9990' AND name = :name", name=name)
    return x509.load_der_x509_crl(bytes(rows[0].der))


def entry(bank: World, certificate: IssuedCertificate, name: str = "user") -> tuple[datetime, str] | None:
    """Publish what has changed, and return since when and why the list says that it is revoked."""
    publish_crls(bank.ports, bank=BANK.code, shards=SHARDS)
    found = listed(bank, name).get_revoked_certificate_by_serial_number(certificate.serial)
    if found is None:
        return None
    reason = found.extensions.get_extension_for_class(x509.CRLReason).value.reason
    return found.revocation_date_utc, reason.value


def number(crl: x509.CertificateRevocationList) -> int:
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def shard_of(certificate: IssuedCertificate) -> str:
    points = x509.load_der_x509_certificate(certificate.der).extensions.get_extension_for_class(
        x509.CRLDistributionPoints
    )
    (name,) = points.value[0].full_name or (x509.UniformResourceIdentifier("none"),)
    found = re.fullmatch(r"http://pki\.example\.com/9990/(user-[0-9]+|user)\.crl", name.value)
    assert found is not None
    return found[1]


def sharded(bank: World, shards: int = SHARDS) -> None:
    bank.bank = replace(BANK, policy=replace(BANK.policy, crl_shards=shards))


def test_a_suspended_certificate_is_refused_until_it_is_lifted(bank: World) -> None:
    held, other = bank.acquire(KEIRI01), bank.acquire(KEIRI02)
    token, others = bank.log_on(held), bank.log_on(other)
    assert revoke(bank, held).suspended_at == bank.clock[0]
    with pytest.raises(CertificateSuspended):
        bank.resume(held, token)
    with pytest.raises(CertificateSuspended):
        bank.log_on(held)
    with pytest.raises(CertificateSuspended):
        meet_visitor(bank.ports, bank=BANK, kind=Kind.USER, der=held.der)
    assert bank.resume(other, others), "nobody else is shut out"
    assert lift(bank, held).suspended_at is None
    with pytest.raises(SessionEndedCertificate):
        bank.resume(held, token)
    assert bank.resume(held, bank.log_on(held))


def test_it_is_told_written_down_and_shown(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    token = bank.log_on(held)
    assert token
    for _ in range(2):  # repeating changes nothing
        revoke(bank, held)
        (line, _) = read_users(bank.ports, administrator=ADMINISTRATOR)
        assert line.state.value == "suspended"
    for _ in range(2):
        lift(bank, held)
        (line, _) = read_users(bank.ports, administrator=ADMINISTRATOR)
        assert line.state.value == "in-force"
    rows = bank.rows(
        "SELECT action, actor, detail FROM audit WHERE action IN ('certificate-suspended', 'certificate-lifted')"
    )
    assert [(row.action, row.actor) for row in rows] == [
        ("certificate-suspended", "operator:test"),
        ("certificate-lifted", "operator:test"),
    ]
    assert "1" in str(rows[0].detail), "the session that ended is counted"
    told = bank.rows(
        "SELECT code FROM notices WHERE code IN ('certificate-suspended', 'certificate-lifted') ORDER BY id"
    )
    assert [row.code for row in told] == ["certificate-suspended", "certificate-lifted"]


def test_a_key_whose_certificate_is_suspended_acquires_nothing_until_it_is_lifted(bank: World) -> None:
    from tests.support.world import new_csr

    csr = new_csr()
    held = bank.acquire(KEIRI01, csr)
    assert bank.acquire(KEIRI01, csr).der == held.der
    revoke(bank, held)
    with pytest.raises(CertificateSuspended):  # `key-reused` has clients throw the key away
        bank.acquire(KEIRI01, csr)
    lift(bank, held)
    assert bank.acquire(KEIRI01, csr).der == held.der
    revoke(bank, held)
    revoke(bank, held, Reason.KEY_COMPROMISE)
    with pytest.raises(KeyReused):
        bank.acquire(KEIRI01, csr)


def test_a_key_whose_renewal_is_suspended_is_not_given_up(bank: World) -> None:
    from tests.support.world import new_csr

    held, csr = bank.acquire(KEIRI01), new_csr()
    bank.later(days=340)
    renewed = bank.renew(held, csr)
    revoke(bank, renewed)
    with pytest.raises(CertificateSuspended):
        bank.renew(held, csr)
    lift(bank, renewed)
    assert bank.renew(held, csr).der == renewed.der


def test_a_hold_that_becomes_final_keeps_its_date(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    suspended = bank.later(hours=1)
    revoke(bank, held)
    assert entry(bank, held) == (suspended, "certificateHold")
    bank.later(hours=1)
    ended = revoke(bank, held, Reason.KEY_COMPROMISE)
    assert (ended.ended_at, ended.suspended_at) == (bank.clock[0], suspended)
    bank.later(seconds=2)
    assert entry(bank, held) == (suspended, "keyCompromise")
    with pytest.raises(CertificateRevoked):
        bank.log_on(held)
    with pytest.raises(CertificateRevoked):
        lift(bank, held)
    revoke(bank, held)  # an end is for good: it stays as it ended
    assert entry(bank, held) == (suspended, "keyCompromise")


def test_a_hold_that_is_lifted_leaves_the_list_and_a_later_one_has_its_own_date(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    bank.later(hours=1)
    revoke(bank, held)
    assert entry(bank, held) is not None
    bank.later(seconds=1)
    lift(bank, held)
    assert entry(bank, held) is None
    again = bank.later(hours=1)
    revoke(bank, held)
    assert entry(bank, held) == (again, "certificateHold")


def test_a_reissue_ends_a_suspended_certificate(bank: World) -> None:
    from tests.integration.test_change_user import change

    from sekisho.usecases.change_user import permit_reissue

    held = bank.acquire(KEIRI01)
    revoke(bank, held)
    permit_reissue(bank.ports, bank=BANK, change=change(bank))
    with pytest.raises(CertificateReissued):
        bank.log_on(held)


def test_who_is_not_there_can_be_neither_revoked_nor_lifted(bank: World) -> None:
    with pytest.raises(CertificateUnknown):
        revoke_certificate(bank.ports, serial=1, reason=Reason.KEY_COMPROMISE, actor=OPERATOR)
    with pytest.raises(CertificateUnknown):
        lift_certificate(bank.ports, serial=1, actor=OPERATOR)


def test_the_database_itself_lets_no_end_be_undone(bank: World) -> None:
    revoke(bank, bank.acquire(KEIRI01), Reason.KEY_COMPROMISE)
    for change in ("suspended_at = ended_at", "reason = 'superseded'", "ended_at = NULL", "shard = 99"):
        with pytest.raises((IntegrityError, StoreAway)):
            bank.change(f"UPDATE certificates SET {change}")  # noqa: S608 - the one certificate that there is


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_stands_in_the_list(bank: World, reason: Reason) -> None:
    held = bank.acquire(KEIRI01)
    revoke(bank, held, reason)
    publish_crls(bank.ports, bank=BANK.code)
    found = listed(bank).get_revoked_certificate_by_serial_number(held.serial)
    assert found is not None
    assert found.revocation_date_utc == bank.clock[0]
    told = [extension.value for extension in found.extensions]
    assert told == ([] if reason is Reason.UNSPECIFIED else [x509.CRLReason(x509.ReasonFlags(reason.value))])


def test_a_revocation_that_commits_after_the_list_was_made_is_listed_next(bank: World) -> None:
    """Its moment is older than the list: transactions do not commit in the order of their clocks."""
    held = bank.acquire(KEIRI01)
    bank.later(seconds=30)
    publish_crls(bank.ports, bank=BANK.code)
    bank.later(seconds=-10)
    revoke(bank, held)
    bank.later(seconds=12)
    assert publish_crls(bank.ports, bank=BANK.code) == 1
    assert listed(bank).get_revoked_certificate_by_serial_number(held.serial) is not None
    assert publish_crls(bank.ports, bank=BANK.code) == 0


def test_what_expired_stays_for_one_list_past_its_end(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    revoke(bank, held, Reason.KEY_COMPROMISE)
    bank.clock[0] = held.not_after - timedelta(minutes=90)
    assert entry(bank, held) is not None
    for minutes in (61, 61):
        bank.later(minutes=minutes)
        assert entry(bank, held) is not None
    assert listed(bank).last_update_utc > held.not_after
    bank.later(minutes=61)
    assert entry(bank, held) is None
    assert bank.rows("SELECT serial FROM crl_entries")
    bank.later(days=11)
    publish_crls(bank.ports, bank=BANK.code)
    assert bank.rows("SELECT serial FROM crl_entries") == []


def test_each_certificate_names_its_shard_and_that_list_names_it_back(bank: World) -> None:
    sharded(bank)
    certificates = [bank.acquire(who) for who in (KEIRI01, KEIRI02)]
    for certificate in certificates:
        revoke(bank, certificate, Reason.SUPERSEDED)
    assert publish_crls(bank.ports, bank=BANK.code, shards=SHARDS) == 2 * (SHARDS + 1)
    for certificate in certificates:
        name = shard_of(certificate)
        assert name == f"user-{certificate.serial % SHARDS}"
        assert entry(bank, certificate, name) == entry(bank, certificate) is not None
        point = listed(bank, name).extensions.get_extension_for_class(x509.IssuingDistributionPoint)
        assert point.critical
        assert [one.value for one in point.value.full_name or ()] == [f"http://pki.example.com/9990/{name}.crl"]
    names = [f"user-{shard}" for shard in range(SHARDS)]
    shared_out = [one.serial_number for name in names for one in listed(bank, name)]
    assert sorted(shared_out) == sorted(one.serial_number for one in listed(bank))
    with pytest.raises(x509.ExtensionNotFound):
        listed(bank).extensions.get_extension_for_class(x509.IssuingDistributionPoint)


def test_a_change_makes_its_own_lists_anew_and_no_others(bank: World) -> None:
    sharded(bank)
    certificate = bank.acquire(KEIRI01)
    publish_crls(bank.ports, bank=BANK.code, shards=SHARDS)
    before = {row.name: row.number for row in bank.rows("SELECT name, number FROM crls")}
    bank.later(seconds=5)
    revoke(bank, certificate)
    assert publish_crls(bank.ports, bank=BANK.code, shards=SHARDS) == 2
    after = {row.name: row.number for row in bank.rows("SELECT name, number FROM crls")}
    assert {name for name in after if after[name] != before[name]} == {"user", shard_of(certificate)}


@pytest.mark.parametrize("now", [1, 2, 8])
def test_what_was_issued_before_keeps_its_list_when_there_are_more_shards_or_fewer(bank: World, now: int) -> None:
    sharded(bank)
    before = bank.acquire(KEIRI01)
    publish_crls(bank.ports, bank=BANK.code, shards=SHARDS)
    sharded(bank, now)
    after = bank.acquire(KEIRI02)
    bank.later(seconds=5)
    for certificate in (before, after):
        revoke(bank, certificate)
    publish_crls(bank.ports, bank=BANK.code, shards=now)
    for certificate in (before, after):
        found = listed(bank, shard_of(certificate)).get_revoked_certificate_by_serial_number(certificate.serial)
        assert found is not None


def test_numbers_grow_through_a_restore(bank: World) -> None:
    publish_crls(bank.ports, bank=BANK.code)
    old = bank.rows("SELECT number, this_update, next_update FROM crls WHERE name = 'user'")[0]
    for _ in range(3):
        bank.later(hours=2)
        publish_crls(bank.ports, bank=BANK.code)
    last = number(listed(bank))
    bank.change(f"UPDATE crls SET number = {old.number}")  # noqa: S608 - a number
    bank.later(hours=2)
    publish_crls(bank.ports, bank=BANK.code)
    assert number(listed(bank)) > last
    bank.later(hours=-1)
    publish_crls(bank.ports, bank=BANK.code)
    assert number(listed(bank)) > last + 1, "and where the clock was set back"


def renewed(bank: World) -> tuple[IssuedCertificate, IssuedCertificate]:
    """Return a certificate and its renewal, which was not used yet."""
    held = bank.acquire(KEIRI01)
    bank.later(days=336)
    return held, bank.renew(held)


@pytest.mark.parametrize("reason", [Reason.KEY_COMPROMISE, Reason.PRIVILEGE_WITHDRAWN])
def test_with_a_certificate_its_renewal_that_was_not_used_yet_ends(bank: World, reason: Reason) -> None:
    held, new = renewed(bank)
    revoke(bank, held, reason)
    for one in (held, new):
        with pytest.raises(CertificateRevoked):
            bank.log_on(one)
        assert entry(bank, one) == (bank.clock[0], reason.value)


def test_one_that_is_superseded_leaves_its_renewal_and_one_that_had_ended_leaves_everything(bank: World) -> None:
    held, new = renewed(bank)
    revoke(bank, held, Reason.SUPERSEDED)
    assert bank.log_on(new)
    revoke(bank, held, Reason.KEY_COMPROMISE)
    assert bank.log_on(new)


def test_a_renewal_under_way_ends_with_what_it_renews(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    bank.later(days=336)
    put_under_way(bank, lambda: bank.renew(held))
    revoke(bank, held, Reason.KEY_COMPROMISE)
    assert finish(bank) == ["revoked", "reissued"]


def test_a_renewal_is_suspended_and_lifted_with_what_it_renews_unless_it_was_suspended_by_itself(bank: World) -> None:
    held, new = renewed(bank)
    revoke(bank, held)
    with pytest.raises(CertificateSuspended):
        bank.log_on(new)
    assert lift(bank, held).suspended_at is None
    bank.later(minutes=1)
    revoke(bank, new)
    bank.later(minutes=1)
    revoke(bank, held)
    lift(bank, held)
    assert bank.log_on(held)
    with pytest.raises(CertificateSuspended):
        bank.log_on(new)
