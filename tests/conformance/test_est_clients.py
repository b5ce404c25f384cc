"""EST clients by others: strongSwan's `pki`, and curl with openssl."""

from __future__ import annotations

import base64
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from tests.support.est_client import Key, curl, enroll, new_key, run
from tests.support.served import Served, free_port_base

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("est") / "data", free_port_base())
    served.start()
    yield served
    served.stop()


@pytest.fixture
def later(tmp_path: Path) -> Iterator[Served]:
    """Serve a bank of its own, whose clock a test sets ahead."""
    served = Served(tmp_path / "data", free_port_base())
    served.start()
    yield served
    served.stop()


def pki(*argv: str) -> subprocess.CompletedProcess[bytes]:
    """Run strongSwan's client, which follows RFC 7030 without a label and takes base64 in one line only."""
    return subprocess.run(["pki", *argv], capture_output=True, timeout=120, check=False)


def authorities(served: Served, folder: Path) -> list[str]:
    """Have strongSwan fetch cacerts and judge them; return them as arguments for whatever comes next."""
    asked = pki(
        *("--estca", "--url", served.info["urls"]["public"], "--cacert", served.info["tls_ca"]),
        *("--caout", str(folder / "ca.pem"), "--outform", "pem"),
    )
    assert asked.returncode == 0, asked.stderr.decode()
    files = sorted(folder.glob("ca*.pem"))
    assert len(files) == 3, "the root and both issuing CAs"
    return [word for file in files for word in ("--cacert", str(file))]


def credentials(served: Served, person: dict[str, Any]) -> str:
    name = f"{served.info['contract']['contract_id']}/{person['user_id']}"
    return f"{name}:{person['user_pin']}:{person['user_confirmation_pin']}"


def request_file(key: Key) -> str:
    file = key.folder / f"{key.name}.csr.der"
    file.write_bytes(run("openssl", "base64", "-d", stdin=key.csr()))
    return str(file)


def test_strongswan_enrolls_and_trusts_what_it_gets(served: Served, tmp_path: Path) -> None:
    trusted = authorities(served, tmp_path)
    key = new_key(tmp_path, "keiri02")
    person = served.user("keiri02")
    asked = pki(
        *("--est", "--url", served.info["urls"]["public"], "--in", request_file(key), "--outform", "pem"),
        *("--cacert", served.info["tls_ca"], *trusted, "--userpass", credentials(served, person)),
    )
    assert asked.returncode == 0, asked.stderr.decode()
    assert b"Issued certificate is trusted" in asked.stderr
    certificate = x509.load_pem_x509_certificate(asked.stdout)
    private = load_pem_private_key(key.key.read_bytes(), None)
    assert certificate.public_key() == private.public_key()
    # The same request by another client brings the same certificate.
    assert key.save(enroll(served, key, person)) == run("openssl", "x509", "-outform", "DER", stdin=asked.stdout)


def test_strongswan_shows_what_was_refused(served: Served, tmp_path: Path) -> None:
    person = {**served.user("keiri02"), "user_pin": "wrong111"}
    asked = pki(
        *("--est", "--url", served.info["urls"]["public"], "--in", request_file(new_key(tmp_path, "k"))),
        *("--cacert", served.info["tls_ca"], *authorities(served, tmp_path)),
        *("--userpass", credentials(served, person)),
    )
    assert asked.returncode != 0
    assert b"401" in asked.stderr


def test_curl_renews_with_the_present_certificate(later: Served, tmp_path: Path) -> None:
    served = later
    held = served.user("keiri01")
    name = f"{served.info['contract']['contract_id']}/keiri01"
    shown = ("--cert", held["certificate"], "--key", held["key"], "-u", f"{name}:{held['user_pin']}")
    key = new_key(tmp_path, "new", "RSA")
    url = f"{served.info['urls']['user']}/.well-known/est/9990/simplereenroll"
    early = curl(served, url, *shown, body=key.csr())
    assert (early.status, early.code) == (403, "renewal-not-open")
    served.set_clock_ahead(days=340)
    answer = curl(served, url, *shown, body=key.csr())
    assert answer.status == 200, answer.body
    der = key.save(answer)
    assert x509.load_der_x509_certificate(der).not_valid_before_utc.year >= 2027
    assert key.save(curl(served, url, *shown, body=key.csr())) == der
    unlabelled = curl(served, url.replace("/9990", ""), *shown, body=key.csr())
    assert base64.b64decode(unlabelled.body) == base64.b64decode(answer.body)


def test_curl_sees_no_body_where_it_asks_for_the_head(served: Served) -> None:
    url = f"{served.info['urls']['public']}/.well-known/est/9990"
    answer = curl(served, f"{url}/cacerts", "--head")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/pkcs7-mime; smime-type=certs-only")
    assert answer.body == b""
    assert int(answer.headers["content-length"]) == len(curl(served, f"{url}/cacerts").body)
    assert curl(served, f"{url}/simpleenroll", "--head").status == 405
