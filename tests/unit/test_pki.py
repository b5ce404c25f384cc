from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.support.world import csr_der

from sekisho.ca.signer import Signer
from sekisho.domain.errors import CsrNotAccepted, KeyNotAccepted
from sekisho.domain.person import Kind
from sekisho.pki import hierarchy, profile
from sekisho.pki.csr import check_key, read_csr

BANK = profile.BankName("9990", "Mihon Shinkin Bank")
NOW = datetime(2026, 11, 24, 3, 0, 0, tzinfo=UTC)
MADE = hierarchy.make(BANK, pki_url="http://localhost:8444", now=NOW, entropy=os.urandom)
SIGNER = Signer(BANK, MADE.cas, "http://localhost:8444", now=lambda: NOW)


def spki(key: Any) -> bytes:
    data: bytes = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return data


def order(**changed: Any) -> profile.Order:
    made = profile.Order(
        kind=Kind.USER,
        common_name="12345678901keiri019990",
        serial=hierarchy.serial_number(NOW, os.urandom),
        spki=spki(ec.generate_private_key(ec.SECP256R1())),
        not_before=NOW - profile.BACKDATE,
        not_after=NOW + timedelta(days=365),
    )
    return replace(made, **changed)


def extension(certificate: x509.Certificate, kind: Any) -> Any:
    return certificate.extensions.get_extension_for_class(kind)


def test_a_persons_certificate_is_what_the_journeys_say() -> None:
    asked = order()
    certificate = x509.load_der_x509_certificate(SIGNER.sign(asked))
    issuer = MADE.issuing[Kind.USER].certificate
    certificate.verify_directly_issued_by(issuer)
    assert certificate.subject.rfc4514_string() == "CN=12345678901keiri019990,OU=Users,O=Mihon Shinkin Bank,C=JP"
    assert certificate.serial_number == asked.serial
    assert list(extension(certificate, x509.ExtendedKeyUsage).value) == [x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not extension(certificate, x509.BasicConstraints).value.ca
    key_id = extension(issuer, x509.SubjectKeyIdentifier).value.digest
    assert extension(certificate, x509.AuthorityKeyIdentifier).value.key_identifier == key_id
    locations = [d.access_location.value for d in extension(certificate, x509.AuthorityInformationAccess).value]
    assert locations == ["http://localhost:8444/ocsp", "http://localhost:8444/9990/user.cer"]
    points = extension(certificate, x509.CRLDistributionPoints).value
    assert points[0].full_name[0].value == "http://localhost:8444/9990/user.crl"


def test_one_order_gives_the_same_bytes() -> None:
    asked = order()
    assert SIGNER.sign(asked) == SIGNER.sign(asked)


@pytest.mark.parametrize(
    "changed",
    [
        {"common_name": "123456789019990"},
        {"common_name": "12345678901keiri019991"},
        {"common_name": "12345678901keiri-19990"},
        {"common_name": ""},
        {"kind": Kind.ADMINISTRATOR},
        {"serial": 0},
        {"serial": 1 << 128},
        {"not_after": NOW + timedelta(days=398)},
        {"not_after": NOW - timedelta(days=1)},
        {"not_after": NOW + timedelta(days=300, microseconds=1)},
    ],
    ids=str,
)
def test_the_signer_refuses_what_the_profile_does_not_allow(changed: dict[str, Any]) -> None:
    with pytest.raises(profile.ProfileBroken):
        SIGNER.sign(order(**changed))


def test_the_signer_refuses_keys_that_no_csr_would_bring() -> None:
    for key in (ec.generate_private_key(ec.SECP521R1()), ed25519.Ed25519PrivateKey.generate()):
        with pytest.raises(KeyNotAccepted):
            SIGNER.sign(order(spki=spki(key)))


def test_an_issuing_ca_is_held_to_its_kind() -> None:
    for kind, pair in MADE.issuing.items():
        constraints = extension(pair.certificate, x509.NameConstraints)
        assert constraints.critical
        assert [name.value for name in constraints.value.permitted_subtrees] == [profile.subject(BANK, kind)]
        assert extension(pair.certificate, x509.BasicConstraints).value.path_length == 0


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()])
def test_curves_that_are_certified(curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    assert read_csr(csr_der(key)).spki == spki(key)


@pytest.mark.parametrize("bits", [2048, 3072, 4096])
def test_rsa_sizes_that_are_certified(bits: int) -> None:
    key = rsa.generate_private_key(65537, bits)
    asked = order(spki=read_csr(csr_der(key)).spki)
    assert x509.load_der_x509_certificate(SIGNER.sign(asked)).public_key() == key.public_key()


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 1024),  # noqa: S505 - that is the point
        rsa.generate_private_key(3, 2048),
        ec.generate_private_key(ec.SECP256K1()),
        ec.generate_private_key(ec.SECP521R1()),
        dsa.generate_private_key(2048),
    ],
    ids=["RSA 1024", "RSA e=3", "secp256k1", "P-521", "DSA"],
)
def test_keys_that_are_not_certified(key: Any) -> None:
    with pytest.raises(KeyNotAccepted):
        read_csr(csr_der(key))


def test_an_rsa_modulus_of_an_odd_size_comes_from_a_broken_generator() -> None:
    with pytest.raises(KeyNotAccepted):
        check_key(rsa.RSAPublicNumbers(65537, (1 << 2048) | 1).public_key())


def test_a_request_must_be_signed_by_its_own_key() -> None:
    good = csr_der(ec.generate_private_key(ec.SECP256R1()))
    for bad in (good[:-3] + bytes(3), good[:40], b"", b"\x30\x03\x02\x01\x00", os.urandom(200), b"x" * 20_000):
        with pytest.raises(CsrNotAccepted):
            read_csr(bad)


def test_a_request_in_pem_is_read_as_well() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    assert read_csr(request.public_bytes(Encoding.PEM)).spki == spki(key)


def test_serial_numbers_begin_with_the_second_and_end_at_random() -> None:
    first, second = (hierarchy.serial_number(NOW, os.urandom) for _ in range(2))
    later = hierarchy.serial_number(NOW + timedelta(seconds=1), os.urandom)
    assert first != second
    assert max(first, second) < later
    assert first >> 96 == int(NOW.timestamp())
    assert hierarchy.serial_number(NOW, bytes).bit_length() <= 127, "16 octets, and none for a sign"
