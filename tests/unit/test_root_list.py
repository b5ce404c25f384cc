"""The root's revocation list: what it says, what it never forgets, and what is none."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from tests.support.authority import BANK, NOW, PKI_URL, new_hierarchy, order
from tests.support.linters import of_revocation_list

from sekisho.ca import root_list_file
from sekisho.ca.root_list_file import RevokedCas
from sekisho.ca.signer import Signer
from sekisho.domain.certificate import REASONS_OF_ISSUING_CAS, Reason
from sekisho.domain.issuing_ca import IssuingCa
from sekisho.domain.person import Kind
from sekisho.pki import hierarchy, root_list
from sekisho.pki.authority_request import NotOfThisBank
from sekisho.pki.profile import ProfileBroken
from sekisho.pki.root_list import RevokedCa

if TYPE_CHECKING:
    from pathlib import Path

MADE = new_hierarchy()
ROOT = MADE.root
USERS = IssuingCa(Kind.USER)
SERIAL = MADE.issuing[Kind.USER].certificate.serial_number
FIRST = root_list.sign(ROOT, None, now=NOW)
REVOKING = root_list.sign(ROOT, FIRST, now=NOW + timedelta(hours=1), revoke=[(SERIAL, Reason.CA_COMPROMISE)])
CERTIFICATES = {ca: pair.certificate for ca, pair in MADE.cas.items()}


@pytest.mark.parametrize("reason", REASONS_OF_ISSUING_CAS)
def test_it_says_what_is_revoked_since_when_and_why(reason: Reason) -> None:
    made = root_list.sign(ROOT, FIRST, now=NOW, revoke=[(7, reason)])
    assert made.revoked == (RevokedCa(7, NOW, reason),)
    for data in (made.der, made.pem):
        assert root_list.read(data, ROOT.certificate) == made
    parsed = x509.load_der_x509_crl(made.der)
    assert parsed.is_signature_valid(ROOT.key.public_key())
    assert parsed.next_update_utc == NOW + timedelta(days=365)
    assert of_revocation_list(made.der) == []


def test_the_next_one_has_what_the_last_one_had_and_a_higher_number() -> None:
    again = root_list.sign(ROOT, REVOKING, now=NOW, revoke=[(7, Reason.SUPERSEDED)])
    assert again.number == REVOKING.number + 1, "although the clock was set back"
    assert [one.serial for one in again.revoked] == [SERIAL, 7]
    root_list.check_follows(again, REVOKING)
    root_list.check_follows(REVOKING, REVOKING)
    with pytest.raises(NotOfThisBank, match="revoked before"):
        root_list.sign(ROOT, again, now=NOW, revoke=[(7, Reason.SUPERSEDED)])


def test_one_that_is_older_or_has_forgotten_something_does_not_follow() -> None:
    forgot = root_list.sign(ROOT, None, now=NOW + timedelta(days=1))
    twin = root_list.sign(ROOT, None, now=NOW + timedelta(hours=1))
    for new in (FIRST, forgot, twin):
        with pytest.raises(NotOfThisBank):
            root_list.check_follows(new, REVOKING)


def test_what_is_no_list_of_this_root() -> None:
    other = root_list.sign(new_hierarchy().root, None, now=NOW)
    issuing = MADE.issuing[Kind.USER]
    key_id = ROOT.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    base = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ROOT.certificate.subject)
        .last_update(NOW)
        .next_update(NOW + timedelta(days=1))
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id), critical=False)
    )
    numbered = base.add_extension(x509.CRLNumber(1), critical=False)
    part = x509.IssuingDistributionPoint(None, None, False, True, None, False, False)  # noqa: FBT003 - its fields
    hold = x509.RevokedCertificateBuilder().serial_number(7).revocation_date(NOW)
    hold = hold.add_extension(x509.CRLReason(x509.ReasonFlags.certificate_hold), critical=False)
    wrong = [
        b"",
        os.urandom(40),
        other.der,
        numbered.sign(issuing.key, hashes.SHA256()).public_bytes(Encoding.DER),
        base.sign(ROOT.key, hashes.SHA384()).public_bytes(Encoding.DER),
        numbered.add_extension(part, critical=True).sign(ROOT.key, hashes.SHA384()).public_bytes(Encoding.DER),
        numbered.add_revoked_certificate(hold.build()).sign(ROOT.key, hashes.SHA384()).public_bytes(Encoding.DER),
        ROOT.certificate.public_bytes(Encoding.PEM),
    ]
    for data in wrong:
        with pytest.raises(NotOfThisBank):
            root_list.read(data, ROOT.certificate)


def test_every_issuing_ca_names_where_it_stands() -> None:
    for pair in MADE.issuing.values():
        (point,) = pair.certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        assert [one.value for one in point.full_name or ()] == [f"{PKI_URL}/9990/root.crl"]
    assert hierarchy.root_addresses("9990", PKI_URL).crl == f"{PKI_URL}/9990/root.crl"


def test_the_ca_signs_nothing_more_from_the_moment_on_when_the_file_is_there(tmp_path: Path) -> None:
    root_list_file.write(tmp_path, FIRST)
    revoked = RevokedCas(tmp_path, ROOT.certificate, CERTIFICATES)
    signer = Signer(BANK, MADE.cas, PKI_URL, now=lambda: NOW, revoked=revoked)
    assert signer.sign(order())
    root_list_file.write(tmp_path, REVOKING)
    with pytest.raises(ProfileBroken, match="revoked"):
        signer.sign(order())
    assert signer.sign(order(kind=Kind.ADMINISTRATOR, common_name="123456789019990"))
    # Neither a file that is none nor an older one lets it sign again.
    (tmp_path / root_list_file.NAME).write_bytes(b"something else")
    assert revoked() == {USERS}
    root_list_file.write(tmp_path, FIRST)
    assert revoked() == {USERS}
    (tmp_path / root_list_file.NAME).unlink()
    assert revoked() == {USERS}


def test_a_ca_does_not_start_with_a_list_that_is_none(tmp_path: Path) -> None:
    assert RevokedCas(tmp_path, ROOT.certificate, CERTIFICATES)() == frozenset()
    (tmp_path / root_list_file.NAME).write_bytes(b"something else")
    with pytest.raises(NotOfThisBank):
        RevokedCas(tmp_path, ROOT.certificate, CERTIFICATES)
