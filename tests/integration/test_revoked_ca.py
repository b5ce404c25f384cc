"""The root revokes an issuing CA: what it signed opens no door, OCSP says so, the next CA signs, people are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.x509.ocsp import OCSPCertStatus
from tests.support.asker import Site, question
from tests.support.revoking import revoke_ca, take
from tests.support.world import ADMINISTRATOR, KEIRI01, KEIRI02, World, new_csr, new_key

from sekisho.ca.signer import Signer
from sekisho.domain.certificate import Reason
from sekisho.domain.errors import (
    CertificateIssuerRevoked,
    CertificateReissued,
    IssuingCaRevoked,
    KeyReused,
    SigningRefused,
)
from sekisho.domain.issuing_ca import IssuingCa
from sekisho.domain.person import Kind
from sekisho.pki import root_list
from sekisho.pki.profile import BankName
from sekisho.store import certificates, permits
from sekisho.usecases.change_user import Change, permit_reissue
from sekisho.usecases.publish_crl import publish_crls
from sekisho.usecases.read_crl import read_crl, read_crl_bytes
from sekisho.usecases.read_users import UserState, read_users
from sekisho.usecases.send_reminders import remind_of_renewal
from sekisho.usecases.take_root_list import ends_of_root_list
from sekisho.usecases.tell_of_revoked_ca import tell_of_revoked_ca

if TYPE_CHECKING:
    from sekisho.domain.certificate import IssuedCertificate

USERS = IssuingCa(Kind.USER)


def tell_all(bank: World) -> None:
    while tell_of_revoked_ca(bank.ports, bank="9990"):
        pass


def told(bank: World, code: str) -> list[str]:
    rows = bank.rows(
        "SELECT people.user_id AS user_id FROM notices JOIN people ON people.id = notices.person_id "
        "WHERE code = :code ORDER BY people.user_id",
        code=code,
    )
    return [row.user_id or "" for row in rows]


def reissue(bank: World, administrator: IssuedCertificate, user_id: str) -> None:
    current = bank.resume(administrator, bank.log_on(administrator))
    change = Change(current.session, current.certificate.id, user_id, "kanri2bb", "192.0.2.7")
    permit_reissue(bank.ports, bank=bank.bank, change=change)


def test_whatever_it_signed_opens_no_door_any_more(bank: World) -> None:
    user, administrator = bank.acquire(KEIRI01), bank.acquire(ADMINISTRATOR)
    session, own = bank.log_on(user), bank.log_on(administrator)
    assert bank.resume(user, session)
    revoke_ca(bank, USERS)
    with pytest.raises(CertificateIssuerRevoked):
        bank.resume(user, session)
    with pytest.raises(CertificateIssuerRevoked):
        bank.log_on(user)
    with pytest.raises(CertificateIssuerRevoked):
        bank.renew(user)
    assert bank.resume(administrator, own), "the other kind has another issuing CA"
    states = {line.person.who.user_id: line.state for line in read_users(bank.ports, administrator=ADMINISTRATOR)}
    assert states["keiri01"] is UserState.REVOKED


def test_its_sessions_end_and_people_are_told_once(bank: World) -> None:
    bank.acquire(ADMINISTRATOR)
    for who in (KEIRI01, KEIRI02):
        bank.log_on(bank.acquire(who))
    revoke_ca(bank, USERS)
    bank.later(seconds=1)
    tell_all(bank)
    tell_all(bank)
    assert [row.end for row in bank.rows('SELECT "end" FROM sessions')] == ["certificate", "certificate"]
    assert told(bank, "issuing-ca-revoked") == ["keiri01", "keiri02"]
    assert told(bank, "issuing-ca-revoked-users") == [""], "an administrator is told once of all users"
    actions = [row.action for row in bank.rows("SELECT action FROM audit WHERE bank = '9990' ORDER BY id")]
    assert actions[-3:] == ["root-list-taken", "issuing-ca-revoked", "issuing-ca-revoked-told"]


def test_an_administrators_ca_tells_administrators_alone(bank: World) -> None:
    bank.acquire(ADMINISTRATOR)
    bank.acquire(KEIRI01)
    revoke_ca(bank, IssuingCa(Kind.ADMINISTRATOR), Reason.CESSATION_OF_OPERATION)
    tell_all(bank)
    assert told(bank, "issuing-ca-revoked") == [""]
    assert told(bank, "issuing-ca-revoked-users") == []


def test_nothing_is_issued_until_another_follows_and_no_permit_is_lost(bank: World) -> None:
    administrator, old = bank.acquire(ADMINISTRATOR), bank.acquire(KEIRI01)
    revoke_ca(bank, USERS)
    with pytest.raises(IssuingCaRevoked):
        bank.acquire(KEIRI02)
    with bank.db.read() as tx:
        person = bank.rows("SELECT id FROM people WHERE user_id = 'keiri02'")[0].id
        permit = permits.latest(tx, person)
    assert permit is not None
    assert permit.is_open(bank.clock[0])
    assert bank.rotate() == IssuingCa(Kind.USER, 2)
    new = bank.acquire(KEIRI02)
    assert new.generation == 2
    assert bank.resume(new, bank.log_on(new))
    reissue(bank, administrator, "keiri01")
    with pytest.raises(CertificateReissued):
        bank.log_on(old)
    assert bank.log_on(bank.acquire(KEIRI01))


def test_a_certificate_of_the_ca_before_is_not_renewed_by_a_revoked_one(bank: World) -> None:
    old = bank.acquire(KEIRI01)
    newer = bank.rotate()
    revoke_ca(bank, newer)
    bank.later(days=340)
    with pytest.raises(IssuingCaRevoked):
        bank.renew(old, at=bank.bank)
    assert bank.log_on(old), "what the older one signed still counts"


def test_the_signer_itself_refuses(bank: World) -> None:
    """Whatever the sites ask for: an order that waited, an answer that says good."""
    name = BankName("9990", bank.bank.name["en"])
    signer = Signer(name, bank.cas, "http://pki.example.com", now=lambda: bank.clock[0], revoked=lambda: {USERS})
    bank.ports = replace(bank.ports, cas={"9990": signer})
    with pytest.raises(SigningRefused):
        bank.acquire(KEIRI01)
    assert bank.acquire(ADMINISTRATOR)
    publish_crls(bank.ports, bank="9990")
    assert {row.name for row in bank.rows("SELECT name FROM crls")} == {"administrator", "user"}


def test_the_same_key_asks_again_and_needs_a_new_one(bank: World) -> None:
    csr = new_csr(new_key())
    bank.acquire(KEIRI01, csr)
    revoke_ca(bank, USERS)
    bank.rotate()
    with pytest.raises(KeyReused):
        bank.acquire(KEIRI01, csr)


@pytest.mark.parametrize("reason", [Reason.CA_COMPROMISE, Reason.SUPERSEDED, Reason.UNSPECIFIED])
def test_ocsp_says_so_of_everything_under_it(bank: World, reason: Reason) -> None:
    known, other = bank.acquire(KEIRI01), bank.acquire(ADMINISTRATOR)
    issuer = bank.cas[USERS].certificate
    site = Site(bank)
    try:
        assert site.post(question(issuer, known.serial)).response.certificate_status is OCSPCertStatus.GOOD
        since = bank.later(minutes=1)
        revoke_ca(bank, USERS, reason)
        site.clock[0] += 2
        for serial in (known.serial, 12345):
            answer = site.post(question(issuer, serial)).response
            assert answer.certificate_status is OCSPCertStatus.REVOKED
            assert answer.revocation_time_utc == since.replace(microsecond=0)
            expected = None if reason is Reason.UNSPECIFIED else x509.ReasonFlags(reason)
            assert answer.revocation_reason is expected
        kind = bank.cas[IssuingCa(Kind.ADMINISTRATOR)].certificate
        assert site.post(question(kind, other.serial)).response.certificate_status is OCSPCertStatus.GOOD
    finally:
        site.close()


def test_an_earlier_end_of_its_own_is_what_ocsp_tells(bank: World) -> None:
    from sekisho.store.audit import Actor
    from sekisho.usecases.revoke_certificate import revoke_certificate

    certificate, held = bank.acquire(KEIRI01), bank.acquire(KEIRI02)
    revoke_certificate(bank.ports, serial=certificate.serial, reason=Reason.KEY_COMPROMISE, actor=Actor("test"))
    revoke_certificate(bank.ports, serial=held.serial, reason=Reason.CERTIFICATE_HOLD, actor=Actor("test"))
    bank.later(hours=1)
    revoke_ca(bank, USERS)
    site = Site(bank)
    try:
        issuer = bank.cas[USERS].certificate
        own = site.post(question(issuer, certificate.serial)).response
        assert own.revocation_reason is x509.ReasonFlags.key_compromise
        suspended = site.post(question(issuer, held.serial)).response
        assert suspended.revocation_reason is x509.ReasonFlags.ca_compromise, "which cannot be lifted"
    finally:
        site.close()


def test_the_list_is_published_and_never_taken_back(bank: World) -> None:
    made = revoke_ca(bank, USERS)
    found = read_crl(bank.ports, bank="9990", name="root")
    assert found is not None
    assert (found.number, found.next_update) == (made.number, made.next_update)
    assert read_crl_bytes(bank.ports, bank="9990", name="root", number=made.number) == made.der
    assert ends_of_root_list(bank.ports, bank="9990") == made.next_update
    older = root_list.sign(bank.made.root, None, now=bank.clock[0] - timedelta(days=1))
    assert take(bank, older) == []
    assert take(bank, made) == [], "and the same again changes nothing"
    assert bank.rows("SELECT number FROM crls WHERE name = 'root'")[0].number == made.number
    assert len(bank.rows("SELECT * FROM revoked_cas")) == 1
    publish_crls(bank.ports, bank="9990", shards=2)
    assert read_crl_bytes(bank.ports, bank="9990", name="root", number=made.number) == made.der


def test_nobody_is_reminded_to_renew_it(bank: World) -> None:
    bank.acquire(KEIRI01)
    remind_of_renewal(bank.ports, bank=bank.bank)
    revoke_ca(bank, USERS)
    bank.later(days=340)
    remind_of_renewal(bank.ports, bank=bank.bank)
    assert told(bank, "renewal-due") == []


def test_every_way_to_read_a_certificate_knows_it(bank: World) -> None:
    issued = bank.acquire(KEIRI01)
    revoke_ca(bank, USERS)
    with bank.db.read() as tx:
        read = [
            certificates.get(tx, issued.id),
            certificates.of_serial(tx, issued.serial),
            *certificates.listed(tx),
            *certificates.issued_of(tx, [issued.id]),
            *certificates.issued_of_orders(tx, [issued.order_id]).values(),
        ]
    assert all(one is not None and one.over and not one.in_force(bank.clock[0]) for one in read)
