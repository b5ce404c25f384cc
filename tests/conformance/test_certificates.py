"""Other people's programs accept what we issue: OpenSSL, GnuTLS, NSS, pkilint, pyhanko-certvalidator."""

from __future__ import annotations

import asyncio
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from asn1crypto import x509 as asn1_x509  # type: ignore[import-untyped]  # it has no types
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import InvalidCertificateError
from tests.support import linters
from tests.support.est_client import run
from tests.support.world import ADMINISTRATOR, KEIRI01, KEIRI02, World, new_csr, new_key, world

from sekisho.domain.certificate import Reason
from sekisho.domain.errors import CsrNotAccepted
from sekisho.domain.person import Kind
from sekisho.pki import second_opinion
from sekisho.pki.csr import read_csr
from sekisho.pki.pkcs12 import bundle
from sekisho.store.audit import Actor
from sekisho.usecases.publish_crl import publish_crls
from sekisho.usecases.revoke_certificate import revoke_certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sekisho.domain.certificate import IssuedCertificate
    from sekisho.domain.person import PersonId

KEYS: dict[str, Callable[[], Any]] = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
}


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[World]:
    from datetime import UTC, datetime, timedelta

    with world(tmp_path) as opened:
        # The other programs look at their own clock.
        opened.clock[0] = datetime.now(UTC) - timedelta(minutes=1)
        for name, pair in (("root", opened.made.root), *opened.made.issuing.items()):
            (tmp_path / f"{name}.pem").write_bytes(pair.certificate.public_bytes(Encoding.PEM))
        yield opened


def written(folder: Path, certificate: IssuedCertificate, name: str = "leaf") -> Path:
    file = folder / f"{name}.pem"
    file.write_bytes(x509.load_der_x509_certificate(certificate.der).public_bytes(Encoding.PEM))
    return file


def openssl_verify(folder: Path, leaf: Path, issuing: Kind, *more: str) -> subprocess.CompletedProcess[str]:
    argv = ["openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", str(folder / "root.pem")]
    argv += [*more, "-untrusted", str(folder / f"{issuing}.pem"), str(leaf)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("who", [ADMINISTRATOR, KEIRI01], ids=lambda who: str(who.kind))
def test_openssl_accepts_it_strictly(bank: World, tmp_path: Path, key: str, who: PersonId) -> None:
    leaf = written(tmp_path, bank.acquire(who, new_csr(KEYS[key]())))
    done = openssl_verify(tmp_path, leaf, who.kind)
    assert done.returncode == 0, done.stderr


def test_openssl_refuses_it_as_a_server_and_under_the_other_ca(bank: World, tmp_path: Path) -> None:
    leaf = written(tmp_path, bank.acquire(KEIRI01))
    assert openssl_verify(tmp_path, leaf, Kind.ADMINISTRATOR).returncode != 0
    assert openssl_verify(tmp_path, leaf, Kind.USER, "-purpose", "sslserver").returncode != 0


def test_the_users_ca_cannot_make_an_administrator(bank: World, tmp_path: Path) -> None:
    """Name constraints hold even where somebody has the key of the users' issuing CA."""
    forged = x509.load_der_x509_certificate(bank.acquire(ADMINISTRATOR).der)
    pair = bank.made.issuing[Kind.USER]
    builder = (
        x509.CertificateBuilder()
        .subject_name(forged.subject)
        .issuer_name(pair.certificate.subject)
        .public_key(forged.public_key())
        .serial_number(1)
        .not_valid_before(forged.not_valid_before_utc)
        .not_valid_after(forged.not_valid_after_utc)
    )
    for extension in forged.extensions:
        if not isinstance(extension.value, x509.AuthorityKeyIdentifier):
            builder = builder.add_extension(extension.value, extension.critical)
    key_id = pair.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id)
    signed = builder.add_extension(authority, critical=False).sign(pair.key, hashes.SHA256())
    file = tmp_path / "forged.pem"
    file.write_bytes(signed.public_bytes(Encoding.PEM))
    done = openssl_verify(tmp_path, file, Kind.USER)
    assert done.returncode != 0
    assert "permitted subtree violation" in done.stderr


def test_nss_accepts_it_for_tls_clients_alone(bank: World, tmp_path: Path) -> None:
    leaf = written(tmp_path, bank.acquire(KEIRI01))
    database = f"sql:{tmp_path / 'nss'}"
    (tmp_path / "nss").mkdir()
    run("certutil", "-N", "-d", database, "--empty-password")
    run("certutil", "-A", "-d", database, "-n", "root", "-t", "CT,,", "-i", str(tmp_path / "root.pem"))
    run("certutil", "-A", "-d", database, "-n", "issuing", "-t", ",,", "-i", str(tmp_path / "user.pem"))
    run("certutil", "-A", "-d", database, "-n", "leaf", "-t", ",,", "-i", str(leaf))
    run("certutil", "-V", "-d", database, "-n", "leaf", "-u", "C")
    with pytest.raises(AssertionError):
        run("certutil", "-V", "-d", database, "-n", "leaf", "-u", "V")


def test_the_revocation_list_is_read_by_openssl(bank: World, tmp_path: Path) -> None:
    revoked, good = bank.acquire(KEIRI01), bank.acquire(KEIRI02)
    revoke_certificate(bank.ports, serial=revoked.serial, reason=Reason.KEY_COMPROMISE, actor=Actor("test"))
    bank.later(seconds=1)
    publish_crls(bank.ports, bank="9990")
    der = bank.rows("SELECT der FROM crls WHERE name = 'user'")[0].der
    crl = tmp_path / "user.crl.pem"
    crl.write_bytes(run("openssl", "crl", "-inform", "DER", stdin=der))
    check = ("-crl_check", "-CRLfile", str(crl))
    assert openssl_verify(tmp_path, written(tmp_path, good, "good"), Kind.USER, *check).returncode == 0
    done = openssl_verify(tmp_path, written(tmp_path, revoked, "revoked"), Kind.USER, *check)
    assert "certificate revoked" in done.stderr


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("who", [ADMINISTRATOR, KEIRI01], ids=lambda who: str(who.kind))
def test_pkilint_finds_nothing_in_a_persons_certificate(bank: World, key: str, who: PersonId) -> None:
    leaf = bank.acquire(who, new_csr(KEYS[key]())).der
    assert second_opinion.of_certificate(leaf) == []
    assert linters.of_pair(bank.made.issuing[who.kind].certificate.public_bytes(Encoding.DER), leaf) == []


def test_pkilint_finds_nothing_in_the_authorities(bank: World) -> None:
    root = bank.made.root.certificate.public_bytes(Encoding.DER)
    assert second_opinion.of_certificate(root) == []
    for pair in bank.made.issuing.values():
        der = pair.certificate.public_bytes(Encoding.DER)
        assert second_opinion.of_certificate(der) == []
        assert linters.of_pair(root, der) == []


def test_pkilint_finds_nothing_after_a_rotation(bank: World) -> None:
    newer = bank.rotate()
    pair = bank.cas[newer]
    issuer, leaf = pair.certificate.public_bytes(Encoding.DER), bank.acquire(KEIRI01).der
    assert second_opinion.of_certificate(issuer) == []
    assert linters.of_pair(bank.made.root.certificate.public_bytes(Encoding.DER), issuer) == []
    assert linters.of_pair(issuer, leaf) == []


def test_pkilint_finds_nothing_in_a_revocation_list(bank: World) -> None:
    revoked = bank.acquire(KEIRI01)
    revoke_certificate(bank.ports, serial=revoked.serial, reason=Reason.KEY_COMPROMISE, actor=Actor("test"))
    publish_crls(bank.ports, bank="9990", shards=2)
    lists = bank.rows("SELECT name, der FROM crls")
    assert {row.name for row in lists} > {"user", "user-0", "user-1"}
    for row in lists:
        assert linters.of_revocation_list(row.der) == []


def test_pkilint_finds_what_is_wrong(bank: World) -> None:
    """It is not silent because it does not look."""
    pair = bank.made.issuing[Kind.USER]
    leaf = x509.load_der_x509_certificate(bank.acquire(KEIRI01).der)
    builder = (
        x509.CertificateBuilder(extensions=list(leaf.extensions)[1:])
        .subject_name(leaf.subject)
        .issuer_name(leaf.issuer)
        .public_key(leaf.public_key())
        .serial_number(leaf.serial_number)
        .not_valid_before(leaf.not_valid_before_utc)
        .not_valid_after(leaf.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=False)
    )
    wrong = builder.sign(pair.key, hashes.SHA256()).public_bytes(Encoding.DER)
    assert any("basic_constraints" in code for code in second_opinion.of_certificate(wrong))
    assert linters.of_pair(bank.made.issuing[Kind.ADMINISTRATOR].certificate.public_bytes(Encoding.DER), wrong)


@pytest.mark.parametrize("key", KEYS)
def test_pyhanko_builds_the_path(bank: World, tmp_path: Path, key: str) -> None:
    """Name constraints, key usage and the path, by a validator that shares no code with OpenSSL."""
    leaf, root, issuing = (
        asn1_x509.Certificate.load(der)
        for der in (
            bank.acquire(KEIRI01, new_csr(KEYS[key]())).der,
            bank.made.root.certificate.public_bytes(Encoding.DER),
            bank.made.issuing[Kind.USER].certificate.public_bytes(Encoding.DER),
        )
    )
    context = ValidationContext(trust_roots=[root], other_certs=[issuing], moment=bank.clock[0])

    def path(usage: str, extended: str) -> Any:
        validator: Any = CertificateValidator(leaf, validation_context=context)
        return asyncio.run(validator.async_validate_usage({usage}, {extended}))

    assert len(path("digital_signature", "client_auth")) == 3
    for usage, extended in (("key_cert_sign", "client_auth"), ("digital_signature", "server_auth")):
        with pytest.raises(InvalidCertificateError):
            path(usage, extended)


def test_vfychain_builds_the_path_for_tls_clients_alone(bank: World, tmp_path: Path) -> None:
    leaf = written(tmp_path, bank.acquire(KEIRI01))

    def judged(usage: str) -> subprocess.CompletedProcess[bytes]:
        argv = ["vfychain", "-pp", "-u", usage, "-a", str(leaf), "-a", str(tmp_path / "user.pem"), "-t", "-a"]
        return subprocess.run(
            [*argv, str(tmp_path / "root.pem")], capture_output=True, timeout=60, check=False, cwd=tmp_path
        )

    assert judged("0").returncode == 0, judged("0").stdout
    assert judged("1").returncode != 0


@pytest.mark.parametrize("who", [ADMINISTRATOR, KEIRI01], ids=lambda who: str(who.kind))
def test_nss_imports_the_file_that_a_browser_gets(bank: World, tmp_path: Path, who: PersonId) -> None:
    key = new_key()
    issued = bank.acquire(who, new_csr(key))
    pair = bank.made.issuing[who.kind]
    leaf = x509.load_der_x509_certificate(issued.der)
    chain = [pair.certificate, bank.made.root.certificate]
    (tmp_path / "person.p12").write_bytes(bundle("person", key, leaf, chain, "a file password"))
    database = f"sql:{tmp_path / 'nss'}"
    (tmp_path / "nss").mkdir()
    run("certutil", "-N", "-d", database, "--empty-password")
    run("pk12util", "-i", str(tmp_path / "person.p12"), "-d", database, "-W", "a file password")
    assert b"person" in run("certutil", "-K", "-d", database)
    names = run("certutil", "-L", "-d", database).decode().splitlines()
    name = next(line.split("  ")[0] for line in names if "Root" in line)
    run("certutil", "-M", "-d", database, "-n", name, "-t", "CT,,")
    run("certutil", "-V", "-d", database, "-n", "person", "-u", "C")


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("who", [ADMINISTRATOR, KEIRI01], ids=lambda who: str(who.kind))
def test_gnutls_accepts_it_for_its_purpose(bank: World, tmp_path: Path, key: str, who: PersonId) -> None:
    leaf = written(tmp_path, bank.acquire(who, new_csr(KEYS[key]())))
    chain = tmp_path / "chain.pem"
    chain.write_bytes(leaf.read_bytes() + (tmp_path / f"{who.kind}.pem").read_bytes())
    asked = ("certtool", "--verify", "--load-ca-certificate", str(tmp_path / "root.pem"), "--infile", str(chain))
    run(*asked, "--verify-profile", "medium", "--verify-purpose", "1.3.6.1.5.5.7.3.2")
    with pytest.raises(AssertionError):
        run(*asked, "--verify-purpose", "1.3.6.1.5.5.7.3.1")


@pytest.mark.parametrize("algorithm", ["md5", "sha1"])
def test_a_request_that_openssl_signs_with_an_old_hash_is_refused(tmp_path: Path, algorithm: str) -> None:
    run("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(tmp_path / "key"))
    asked = ("openssl", "req", "-new", "-key", str(tmp_path / "key"), "-subj", "/CN=x", "-outform", "DER")
    assert read_csr(run(*asked, "-sha256"))
    with pytest.raises(CsrNotAccepted):
        read_csr(run(*asked, f"-{algorithm}"))
