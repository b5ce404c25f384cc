"""An issuing CA is followed by another: certificates of both open the doors, and each CA tells of its own."""

from __future__ import annotations

import base64
import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import load_der_pkcs7_certificates
from cryptography.x509.ocsp import OCSPCertStatus
from tests.support.asker import Site, question
from tests.support.est_site import est_site
from tests.support.world import KEIRI01, KEIRI02, World, new_csr, new_key

from sekisho.domain.certificate import Reason
from sekisho.domain.errors import CaAway
from sekisho.domain.issuing_ca import IssuingCa
from sekisho.domain.person import Kind
from sekisho.store.audit import Actor
from sekisho.usecases.publish_crl import publish_crls
from sekisho.usecases.revoke_certificate import revoke_certificate

if TYPE_CHECKING:
    from pathlib import Path

    from sekisho.domain.certificate import IssuedCertificate

OLD, NEW = IssuingCa(Kind.USER), IssuingCa(Kind.USER, 2)


@pytest.fixture
def pair(bank: World) -> tuple[IssuedCertificate, IssuedCertificate]:
    """Return a certificate from before a rotation, and one from after it."""
    old = bank.acquire(KEIRI01)
    assert bank.rotate() == NEW
    return old, bank.acquire(KEIRI02)


def issuer(bank: World, ca: IssuingCa) -> x509.Certificate:
    return bank.cas[ca].certificate


def publish(bank: World) -> dict[str, x509.CertificateRevocationList]:
    bank.later(seconds=1)
    publish_crls(bank.ports, bank="9990", issuing_cas=bank.bank.policy.issuing_cas)
    return {row.name: x509.load_der_x509_crl(bytes(row.der)) for row in bank.rows("SELECT name, der FROM crls")}


def revoke(bank: World, certificate: IssuedCertificate) -> None:
    revoke_certificate(
        bank.ports, serial=certificate.serial, reason=Reason.KEY_COMPROMISE, actor=Actor("operator:test")
    )


def test_both_log_on(bank: World, pair: tuple[IssuedCertificate, IssuedCertificate]) -> None:
    for certificate, ca in zip(pair, (OLD, NEW), strict=True):
        x509.load_der_x509_certificate(certificate.der).verify_directly_issued_by(issuer(bank, ca))
        assert certificate.generation == ca.generation
        assert bank.resume(certificate, bank.log_on(certificate))


def test_each_is_revoked_on_the_list_of_its_own_ca(
    bank: World, pair: tuple[IssuedCertificate, IssuedCertificate]
) -> None:
    old, new = pair
    lists = publish(bank)
    assert lists.keys() == {"administrator", "user", "user2"}
    revoke(bank, old)
    lists = publish(bank)
    assert [one.serial_number for one in lists["user"]] == [old.serial]
    assert len(lists["user2"]) == 0
    revoke(bank, new)
    lists = publish(bank)
    for name, ca, certificate in (("user", OLD, old), ("user2", NEW, new)):
        assert [one.serial_number for one in lists[name]] == [certificate.serial]
        assert lists[name].issuer == issuer(bank, ca).subject
        key = issuer(bank, ca).public_key()
        assert lists[name].is_signature_valid(key)  # type: ignore[arg-type]


def test_each_ca_answers_about_its_own(bank: World, pair: tuple[IssuedCertificate, IssuedCertificate]) -> None:
    old, new = pair
    site = Site(bank)
    try:
        for certificate, own, other in ((old, OLD, NEW), (new, NEW, OLD)):
            answer = site.post(question(issuer(bank, own), certificate.serial)).response
            assert answer.certificate_status is OCSPCertStatus.GOOD
            answer.certificates[0].verify_directly_issued_by(issuer(bank, own))
            elsewhere = site.post(question(issuer(bank, other), certificate.serial)).response
            assert elsewhere.certificate_status is OCSPCertStatus.UNKNOWN, "the other one never issued it"
        for certificate, own in ((old, OLD), (new, NEW)):
            revoke(bank, certificate)
            site.clock[0] += 2
            answer = site.post(question(issuer(bank, own), certificate.serial)).response
            assert answer.certificate_status is OCSPCertStatus.REVOKED, "what was kept is dropped"
    finally:
        site.close()


def test_cacerts_has_them_all(bank: World, pair: tuple[IssuedCertificate, IssuedCertificate]) -> None:
    del pair
    with est_site(bank) as site:
        answer = site.ask("cacerts")
    found = {one.public_bytes(Encoding.DER) for one in load_der_pkcs7_certificates(base64.b64decode(answer.content))}
    expected = [bank.made.root.certificate, *(one.certificate for one in bank.cas.values())]
    assert found == {one.public_bytes(Encoding.DER) for one in expected}
    assert len(found) == 4


def test_an_order_that_waits_keeps_its_bytes(bank: World) -> None:
    """It was signed, and the answer lost; then the CA was rotated, and the person asks again with the same key."""
    csr, signed = new_csr(new_key()), []
    ca = bank.ports.cas["9990"]
    sign_all = ca.sign_all

    def lose(orders: object) -> list[bytes | Exception]:
        signed.extend(sign_all(orders))  # type: ignore[arg-type]
        raise CaAway

    ca.sign_all = lose  # type: ignore[method-assign]
    with pytest.raises(CaAway):
        bank.acquire(KEIRI01, csr)
    bank.rotate()
    again = bank.acquire(KEIRI01, csr)
    assert [again.der] == signed
    assert again.generation == 1
    assert bank.acquire(KEIRI02).generation == 2


def test_openssl_verifies_both_with_their_lists(
    bank: World, pair: tuple[IssuedCertificate, IssuedCertificate], tmp_path: Path
) -> None:
    """Both issuing CAs and both lists at hand, it finds for each certificate the ones that belong to it."""
    old, new = pair
    root, others = tmp_path / "root.pem", tmp_path / "others.pem"
    root.write_bytes(bank.made.root.certificate.public_bytes(Encoding.PEM))
    others.write_bytes(b"".join(issuer(bank, ca).public_bytes(Encoding.PEM) for ca in (OLD, NEW)))

    def judged(certificate: IssuedCertificate) -> str:
        lists = publish(bank)
        options = [
            "-attime",
            str(int(bank.clock[0].timestamp())),
            "-x509_strict",
            "-purpose",
            "sslclient",
            "-crl_check",
        ]
        for name in ("user", "user2"):
            file = tmp_path / f"{name}.crl.pem"
            file.write_bytes(lists[name].public_bytes(Encoding.PEM))
            options += ["-CRLfile", str(file)]
        leaf = tmp_path / "leaf.pem"
        leaf.write_bytes(x509.load_der_x509_certificate(certificate.der).public_bytes(Encoding.PEM))
        argv = ["openssl", "verify", *options, "-CAfile", str(root), "-untrusted", str(others), str(leaf)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        return "good" if done.returncode == 0 else done.stderr

    assert [judged(old), judged(new)] == ["good", "good"]
    revoke(bank, new)
    assert judged(old) == "good"
    assert "certificate revoked" in judged(new)
    revoke(bank, old)
    assert "certificate revoked" in judged(old)
