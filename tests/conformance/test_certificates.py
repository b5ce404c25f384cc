"""Other people's programs accept what we issue: OpenSSL, GnuTLS, NSS, pkilint."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from tests.support.est_client import run
from tests.support.world import ADMINISTRATOR, KEIRI01, KEIRI02, World, new_csr, world

from sekisho.domain.person import Kind
from sekisho.usecases.publish_crl import publish_crls
from sekisho.usecases.revoke_certificate import revoke_certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sekisho.domain.certificate import IssuedCertificate

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
def test_openssl_accepts_it_strictly(bank: World, tmp_path: Path, key: str) -> None:
    leaf = written(tmp_path, bank.acquire(KEIRI01, new_csr(KEYS[key]())))
    done = openssl_verify(tmp_path, leaf, Kind.USER)
    assert done.returncode == 0, done.stderr


def test_openssl_refuses_it_as_a_server_and_under_the_other_ca(bank: World, tmp_path: Path) -> None:
    leaf = written(tmp_path, bank.acquire(KEIRI01))
    assert openssl_verify(tmp_path, leaf, Kind.ADMINISTRATOR).returncode != 0
    assert openssl_verify(tmp_path, leaf, Kind.USER, "-purpose", "sslserver").returncode != 0


def test_the_users_ca_cannot_make_an_administrator(bank: World, tmp_path: Path) -> None:
    """Name constraints hold even where somebody has the key of the users' issuing CA."""
    from cryptography.hazmat.primitives import hashes

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


def test_gnutls_accepts_it(bank: World, tmp_path: Path) -> None:
    leaf = written(tmp_path, bank.acquire(ADMINISTRATOR))
    chain = tmp_path / "chain.pem"
    chain.write_bytes(leaf.read_bytes() + (tmp_path / "administrator.pem").read_bytes())
    run("certtool", "--verify", "--load-ca-certificate", str(tmp_path / "root.pem"), "--infile", str(chain))


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
    from sekisho.domain.certificate import Reason
    from sekisho.store.audit import Actor

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
def test_pkilint_finds_no_error(bank: World, tmp_path: Path, key: str) -> None:
    certificates: dict[str, Any] = {"leaf": written(tmp_path, bank.acquire(KEIRI01, new_csr(KEYS[key]())))}
    certificates |= {name: tmp_path / f"{name}.pem" for name in ("root", "user", "administrator")}
    linter = Path(sys.executable).with_name("lint_pkix_cert")
    for name, file in certificates.items():
        argv = [str(linter), "lint", "-s", "ERROR", str(file)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
        assert (done.returncode, done.stdout.strip()) == (0, ""), f"{name}: {done.stdout}{done.stderr}"
