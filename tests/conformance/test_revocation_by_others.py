"""What we say of revoked certificates, as OpenSSL, GnuTLS, NSS, curl, pkilint and pyHanko understand it."""

from __future__ import annotations

import asyncio
import base64
import logging
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from asn1crypto import pem  # type: ignore[import-untyped]  # it has no types
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import InsufficientRevinfoError, RevokedError
from tests.support.asker import question
from tests.support.est_client import run
from tests.support.pki_site import pki_site
from tests.support.served import free_port_base
from tests.support.world import ADMINISTRATOR, KEIRI01, KEIRI02, World, world

from sekisho.domain.certificate import Reason
from sekisho.domain.issuing_ca import IssuingCa
from sekisho.domain.person import Kind
from sekisho.pki import root_list
from sekisho.store.audit import Actor
from sekisho.usecases.publish_crl import publish_crls
from sekisho.usecases.revoke_certificate import revoke_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sekisho.domain.certificate import IssuedCertificate

OPERATOR = Actor("test")
BIN = Path(sys.executable).parent
CURL = ("curl", "--silent", "--fail")


@dataclass
class Published:
    """A bank with a good, a held and a revoked certificate, its pki site at `url`, and all that as PEM in `folder`."""

    bank: World
    url: str
    folder: Path
    good: IssuedCertificate
    held: IssuedCertificate
    revoked: IssuedCertificate

    def file(self, name: str) -> str:
        return str(self.folder / f"{name}.pem")

    def crl(self, certificate: IssuedCertificate | None = None) -> str:
        """Fetch the list that a certificate names, or the whole one, and return its PEM file."""
        url = f"{self.url}/9990/user.crl"
        if certificate is not None:
            parsed = x509.load_der_x509_certificate(certificate.der)
            point = parsed.extensions.get_extension_for_class(x509.CRLDistributionPoints).value[0]
            url = (point.full_name or [])[0].value
        der = run("curl", "--silent", "--show-error", "--fail", url)
        file = self.folder / f"{url.rsplit('/', 1)[1]}.pem"
        file.write_bytes(run("openssl", "crl", "-inform", "DER", stdin=der))
        return str(file)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    folder = tmp_path_factory.mktemp("published")
    port = free_port_base()
    url = f"http://127.0.0.1:{port}"
    with world(folder, pki_url=url) as bank:
        # The other programs look at their own clock.
        bank.clock[0] = datetime.now(UTC) - timedelta(minutes=1)
        certificates = {
            "good": bank.acquire(KEIRI01),
            "held": bank.acquire(ADMINISTRATOR),
            "revoked": bank.acquire(KEIRI02),
        }
        for name, reason in (("held", Reason.CERTIFICATE_HOLD), ("revoked", Reason.KEY_COMPROMISE)):
            revoke_certificate(bank.ports, serial=certificates[name].serial, reason=reason, actor=OPERATOR)
        publish_crls(bank.ports, bank="9990", shards=bank.bank.policy.crl_shards)
        for name, pair in (("root", bank.made.root), *bank.made.issuing.items()):
            (folder / f"{name}.pem").write_bytes(pair.certificate.public_bytes(Encoding.PEM))
        for name, certificate in certificates.items():
            pem = x509.load_der_x509_certificate(certificate.der).public_bytes(Encoding.PEM)
            (folder / f"{name}.pem").write_bytes(pem)
        chain = (folder / "user.pem").read_text() + (folder / "root.pem").read_text()
        (folder / "chain.pem").write_text(chain)
        with pki_site(bank, port):
            yield Published(bank, url, folder, *certificates.values())


def program(*argv: str, stdin: bytes | None = None) -> tuple[int, str]:
    done = subprocess.run(argv, input=stdin, capture_output=True, timeout=120, check=False)
    return done.returncode, (done.stdout + done.stderr).decode()


@pytest.mark.parametrize("digest", ["-sha1", "-sha256"])
@pytest.mark.parametrize(
    ("name", "issuer", "told"),
    [
        ("good", "user", "good"),
        ("held", "administrator", "Reason: certificateHold"),
        ("revoked", "user", "Reason: keyCompromise"),
    ],
)
@pytest.mark.parametrize("nonce", ["-nonce", "-no_nonce"])
def test_openssl_asks_by_post(published: Published, name: str, issuer: str, told: str, digest: str, nonce: str) -> None:
    asked = ("-url", f"{published.url}/ocsp", nonce, digest)
    about = ("-issuer", published.file(issuer), "-cert", published.file(name))
    # Of the responder openssl is told nothing: it finds it in the answer, and its issuing CA is not trusted for more.
    code, said = program(
        *("openssl", "ocsp", *asked, *about, "-CAfile", published.file("root")),
        *("-verify_other", published.file(issuer), "-resp_text"),
    )
    assert code == 0, said
    assert "Response verify OK" in said
    assert "WARNING" not in said
    assert told in said
    assert f"{name}.pem: {told.split(maxsplit=1)[0].rstrip(':') if name == 'good' else 'revoked'}" in said


def test_openssl_reads_what_curl_gets(published: Published) -> None:
    request = published.folder / "request.der"
    about = ("-issuer", published.file("user"), "-cert", published.file("revoked"))
    program("openssl", "ocsp", *about, "-no_nonce", "-reqout", str(request))
    path = quote(base64.b64encode(request.read_bytes()).decode(), safe="")
    response = published.folder / "response.der"
    response.write_bytes(run("curl", "--silent", "--show-error", "--fail", f"{published.url}/ocsp/{path}"))
    code, said = program(
        *("openssl", "ocsp", *about, "-respin", str(response), "-CAfile", published.file("root")),
        *("-verify_other", published.file("user")),
    )
    assert code == 0, said
    assert "Response verify OK" in said
    assert "revoked.pem: revoked" in said


def test_curl_keeps_an_answer_as_long_as_it_is_told(published: Published, caplog: pytest.LogCaptureFixture) -> None:
    asked = question(published.bank.made.issuing[Kind.USER].certificate, published.good.serial)
    url = f"{published.url}/ocsp/{quote(base64.b64encode(asked).decode(), safe='')}"
    etag = published.folder / "etag"
    first = run("curl", "--silent", "--fail", "--etag-save", str(etag), "--write-out", "%{http_code}", url)
    assert first.endswith(b"200")
    # From memory, and by the application.
    for how in ("connection: keep-alive", "connection: close"):
        compare = ("--header", how, "--etag-compare", str(etag), "--write-out", "%{http_code}")
        assert run("curl", "--silent", "--fail", *compare, url) == b"304"
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_responder_of_the_other_issuing_ca_is_not_believed(published: Published) -> None:
    """What the users' issuing CA certified cannot speak for administrators, in OpenSSL's judgement."""
    about = ("-issuer", published.file("administrator"), "-cert", published.file("held"))
    request, response = published.folder / "other.req.der", published.folder / "other.der"
    program("openssl", "ocsp", *about, "-no_nonce", "-reqout", str(request))
    forged = published.bank.ports.cas["9990"]
    signed = forged._responders  # type: ignore[attr-defined]
    of_user = signed._of(IssuingCa(Kind.USER), published.bank.clock[0].replace(microsecond=0))
    from sekisho.pki import ocsp

    answer = ocsp.Answer(
        Kind.ADMINISTRATOR, ocsp.Digest.SHA1, published.held.serial, ocsp.Status.GOOD, timedelta(hours=1)
    )
    issuer = signed._ids[IssuingCa(Kind.ADMINISTRATOR)][ocsp.Digest.SHA1]
    now = published.bank.clock[0].replace(microsecond=0)
    response.write_bytes(ocsp.response(answer, issuer, of_user.certificate, of_user.key, now))
    chain = published.folder / "both.pem"
    chain.write_text(Path(published.file("user")).read_text() + Path(published.file("administrator")).read_text())
    _, said = program(
        *("openssl", "ocsp", *about, "-respin", str(response), "-CAfile", published.file("root")),
        *("-verify_other", str(chain)),
    )
    assert "Response verify OK" not in said
    assert "Response Verify Failure" in said


def test_gnutls_believes_the_answers(published: Published) -> None:
    for name, issuer, told in (
        ("good", "user", "good"),
        ("held", "administrator", "revoked"),
        ("revoked", "user", "revoked"),
    ):
        code, said = program(
            *("ocsptool", f"--ask={published.url}/ocsp", "--load-issuer", published.file(issuer)),
            *("--load-cert", published.file(name), "--load-trust", published.file(issuer), "--no-nonce"),
        )
        assert f"Certificate Status: {told}" in said, said
        assert "Verification: " not in said or "Failure" not in said, said
        assert "OCSP Response Information" in said
        assert code == (0 if told == "good" else 1) or "Success" in said, said


def test_gnutls_reads_the_whole_list(published: Published) -> None:
    code, said = program("certtool", "--crl-info", "--infile", published.crl())
    assert code == 0, said
    assert f"{published.revoked.serial:032x}" in said
    code, said = program(
        *("certtool", "--verify-crl", "--load-ca-certificate", published.file("user"), "--infile", published.crl())
    )
    assert code == 0, said
    assert "Verification output: Verified" in said


def verify(published: Published, name: str, issuer: str, *lists: str) -> tuple[int, str]:
    named = [word for one in lists for word in ("-CRLfile", one)]
    return program(
        *("openssl", "verify", "-x509_strict", "-crl_check", *named, "-CAfile", published.file("root")),
        *("-untrusted", published.file(issuer), published.file(name)),
    )


@pytest.mark.parametrize("whole", [True, False], ids=["the whole list", "the part that the certificate names"])
def test_openssl_checks_the_lists(published: Published, whole: bool) -> None:  # noqa: FBT001 - a parameter of pytest
    for name, certificate in (("good", published.good), ("revoked", published.revoked)):
        code, said = verify(published, name, "user", published.crl(None if whole else certificate))
        assert (code == 0) is (name == "good"), said
        assert ("certificate revoked" in said) is (name == "revoked"), said


def test_openssl_takes_no_part_for_the_whole(published: Published) -> None:
    """A part with another name says nothing about a certificate, and so does not make it good."""
    shards = published.bank.bank.policy.crl_shards
    other = (published.revoked.serial + 1) % shards
    der = run("curl", "--silent", "--fail", f"{published.url}/9990/user-{other}.crl")
    file = published.folder / "other.crl.pem"
    file.write_bytes(run("openssl", "crl", "-inform", "DER", stdin=der))
    code, said = verify(published, "revoked", "user", str(file))
    assert code != 0
    assert "certificate revoked" not in said


def test_openssl_prints_a_part(published: Published) -> None:
    said = run("openssl", "crl", "-in", published.crl(published.revoked), "-noout", "-text").decode()
    assert "X509v3 Issuing Distribution Point: critical" in said
    assert "X509v3 CRL Number" in said
    assert f"{published.revoked.serial:X}" in said
    assert "Key Compromise" in said


def lint(*argv: str) -> str:
    code, said = program(*argv)
    return "" if code == 0 and not said.strip() else said


def test_pkilint_finds_nothing_in_the_lists(published: Published) -> None:
    for file in (published.crl(), published.crl(published.revoked), published.crl(published.good)):
        assert lint(str(BIN / "lint_crl"), "lint", "-t", "CRL", "-p", "PKIX", "-s", "WARNING", file) == ""


@pytest.mark.parametrize("nonce", [None, b"n" * 32])
def test_pkilint_finds_nothing_in_the_answers(published: Published, nonce: bytes | None) -> None:
    for name in ("good", "held", "revoked"):
        certificate: IssuedCertificate = getattr(published, name)
        asked = question(published.bank.made.issuing[certificate.kind].certificate, certificate.serial, nonce=nonce)
        file = published.folder / "answer.der"
        file.write_bytes(run("curl", "--silent", "--fail", "--data-binary", "@-", f"{published.url}/ocsp", stdin=asked))
        argv = (str(BIN / "lint_ocsp_response"), "lint", "-s", "WARNING", "--document-format", "DER", str(file))
        assert lint(*argv) == ""


def test_pkilint_finds_no_error_in_a_responders_certificate(published: Published) -> None:
    asked = question(published.bank.made.issuing[Kind.USER].certificate, published.good.serial)
    der = run("curl", "--silent", "--fail", "--data-binary", "@-", f"{published.url}/ocsp", stdin=asked)
    (responder,) = x509.ocsp.load_der_ocsp_response(der).certificates
    file = published.folder / "responder.pem"
    file.write_bytes(responder.public_bytes(Encoding.PEM))
    assert lint(str(BIN / "lint_pkix_cert"), "lint", "-s", "WARNING", str(file)) == ""


@pytest.fixture(scope="module")
def nss(published: Published) -> str:
    """Make a database that trusts the root and knows the issuing CAs and the whole list."""
    database = published.folder / "nss"
    database.mkdir()
    name = f"sql:{database}"
    run("certutil", "-N", "-d", name, "--empty-password")
    run("certutil", "-A", "-d", name, "-n", "root", "-t", "CT,,", "-i", published.file("root"))
    for issuing in Kind:
        run("certutil", "-A", "-d", name, "-n", issuing.value, "-t", ",,", "-i", published.file(issuing))
    return name


def vfychain(published: Published, nss: str, name: str, method: str) -> tuple[int, str]:
    """Have NSS check a chain and ask about the leaf; without an answer it is bad."""
    argv = ("vfychain", "-d", nss, "-u", "0", "-pp", "-g", "leaf", "-h", "requireFreshInfo", "-m", method)
    flags = ("-s", "requireInfo", "-s", "failIfNoInfo")
    return program(*argv, *flags, "-a", published.file(name))


def test_nss_asks_about_a_certificate(published: Published, nss: str) -> None:
    for name in ("good", "held", "revoked"):
        code, said = vfychain(published, nss, name, "ocsp")
        assert (code == 0) is (name == "good"), said
        assert ("has been revoked" in said) is (name != "good"), said


def test_nss_checks_the_whole_list(published: Published, nss: str) -> None:
    der = published.folder / "user.crl.der"
    der.write_bytes(run("curl", "--silent", "--fail", f"{published.url}/9990/user.crl"))
    run("crlutil", "-I", "-d", nss, "-i", str(der))
    for name in ("good", "revoked"):
        code, said = vfychain(published, nss, name, "crl")
        assert (code == 0) is (name == "good"), said
        assert ("has been revoked" in said) is (name == "revoked"), said


@pytest.fixture(scope="module")
def root_lists(published: Published) -> dict[str, str]:
    """Make PEM files of a list of the root that names nothing, and of one that revokes the users' issuing CA."""
    now = published.bank.clock[0]
    root, users = published.bank.made.root, published.bank.made.issuing[Kind.USER].certificate.serial_number
    first = root_list.sign(root, None, now=now)
    lists = {"none": first, "users": root_list.sign(root, first, now=now, revoke=[(users, Reason.CA_COMPROMISE)])}
    for name, made in lists.items():
        (published.folder / f"root-{name}.crl.pem").write_bytes(made.pem)
    return {name: str(published.folder / f"root-{name}.crl.pem") for name in lists}


@pytest.mark.parametrize("revoked", ["none", "users"])
def test_openssl_checks_the_whole_chain(published: Published, root_lists: dict[str, str], revoked: str) -> None:
    code, said = program(
        *("openssl", "verify", "-x509_strict", "-crl_check_all", "-CAfile", published.file("root")),
        *("-CRLfile", root_lists[revoked], "-CRLfile", published.crl(published.good)),
        *("-untrusted", published.file("user"), published.file("good")),
    )
    assert (code == 0) is (revoked == "none"), said
    assert ("depth 1 depth lookup: certificate revoked" in said or "certificate revoked" in said) is (code != 0), said


@pytest.mark.parametrize("revoked", ["none", "users"])
def test_gnutls_checks_the_whole_chain(published: Published, root_lists: dict[str, str], revoked: str) -> None:
    lists = published.folder / f"all-{revoked}.crl.pem"
    lists.write_text(Path(root_lists[revoked]).read_text() + Path(published.crl()).read_text())
    chain = published.folder / "good.chain.pem"
    chain.write_text("".join(Path(published.file(one)).read_text() for one in ("good", "user")))
    _, said = program(
        *("certtool", "--verify", "--load-ca-certificate", published.file("root"), "--load-crl", str(lists)),
        *("--infile", str(chain)),
    )
    assert ("Chain verification output: Verified" in said) is (revoked == "none"), said
    assert ("revoked" in said) is (revoked == "users"), said


@pytest.mark.parametrize("revoked", ["none", "users"])
def test_pyhanko_checks_the_whole_chain(published: Published, root_lists: dict[str, str], revoked: str) -> None:
    """An issuing CA declares a list, so that is asked for as well."""
    lists = [Path(root_lists[revoked]), Path(published.crl(published.good))]
    known = [pem.unarmor(one.read_bytes())[2] for one in lists]
    with pytest.raises(InsufficientRevinfoError, match="intermediate certificate"):
        path_of_pyhanko(published, "good", crls=known[1:])
    if revoked == "none":
        assert path_of_pyhanko(published, "good", crls=known)
        return
    with pytest.raises(RevokedError, match="CA being compromised"):
        path_of_pyhanko(published, "good", crls=known)


def test_nothing_is_found_in_a_list_of_the_root(published: Published, root_lists: dict[str, str]) -> None:
    for file in root_lists.values():
        assert lint(str(BIN / "lint_crl"), "lint", "-t", "CRL", "-p", "PKIX", "-s", "WARNING", file) == ""
        code, said = program(
            *("certtool", "--verify-crl", "--load-ca-certificate", published.file("root"), "--infile", file)
        )
        assert (code, "Verification output: Verified" in said) == (0, True), said


def path_of_pyhanko(published: Published, name: str, **known: Any) -> Any:
    """Return a certificate's path for TLS clients; what is declared of revocation must be known: it asks no network."""
    leaf, *others = (
        asn1_x509.Certificate.load(pem.unarmor(Path(published.file(one)).read_bytes())[2])
        for one in (name, "root", "user", "administrator")
    )
    context = ValidationContext(
        trust_roots=others[:1],
        other_certs=others[1:],
        allow_fetching=False,
        revocation_mode="hard-fail",
        **known,
    )
    validator: Any = CertificateValidator(leaf, validation_context=context)
    return asyncio.run(validator.async_validate_usage({"digital_signature"}, {"client_auth"}))


@pytest.mark.parametrize("way", ["part", "answer"])
@pytest.mark.parametrize(
    ("name", "issuer", "told"),
    [("good", "user", None), ("held", "administrator", "certificate hold"), ("revoked", "user", "compromised key")],
)
def test_pyhanko_believes_the_lists_and_the_answers(
    published: Published, root_lists: dict[str, str], way: str, name: str, issuer: str, told: str | None
) -> None:
    """Parts with their distribution point, and the delegated responder, by a validator of its own making."""
    of_root = pem.unarmor(Path(root_lists["none"]).read_bytes())[2]
    known: dict[str, list[bytes]] = {"crls": [of_root]}
    if way == "part":
        certificate: IssuedCertificate = getattr(published, name)
        known = {"crls": [of_root, pem.unarmor(Path(published.crl(certificate)).read_bytes())[2]]}
    else:
        asked_about = published.bank.made.issuing[Kind(issuer)].certificate, getattr(published, name).serial
        known |= {"ocsps": [run(*CURL, "--data-binary", "@-", f"{published.url}/ocsp", stdin=question(*asked_about))]}
    if told is None:
        assert len(path_of_pyhanko(published, name, **known)) == 3
        return
    with pytest.raises(RevokedError, match=told):
        path_of_pyhanko(published, name, **known)


def test_pyhanko_is_not_content_with_the_part_of_another(published: Published, root_lists: dict[str, str]) -> None:
    of_root = pem.unarmor(Path(root_lists["none"]).read_bytes())[2]
    other = next(one.der for one in published.bank.rows("SELECT name, der FROM crls") if one.name == "administrator-0")
    with pytest.raises(InsufficientRevinfoError):
        path_of_pyhanko(published, "good", crls=[of_root, other])
