"""The edge over real sockets: who comes in, with what, and who is refused."""

from __future__ import annotations

import _ssl
import logging
import ssl
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from tests.support.edge import HOST, Pair, Running, client_context, issue, running

from sekisho.edge import context, openssl
from sekisho.edge.choice import ChoiceBook
from sekisho.edge.server import SiteTls
from sekisho.pki.csr import certified_key_fits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
both = pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
_S_CLIENT = {V12: "-tls1_2", V13: "-tls1_3"}
_BAD_CERTIFICATE = "ALERT_BAD_CERTIFICATE"
_UNKNOWN_CA = "ALERT_UNKNOWN_CA"


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    folder = tmp_path_factory.mktemp("edge")
    authority, other = issue(folder, "issuing CA for users"), issue(folder, "somebody else's CA")
    return {
        "authority": authority,
        "server": issue(folder, "server", authority),
        "good": issue(folder, "good", authority),
        "another": issue(folder, "another", authority),
        "rsa": issue(folder, "rsa", authority, kind="RSA"),
        "expired": issue(folder, "expired", authority, days=(-3, -2)),
        "not yet valid": issue(folder, "not yet valid", authority, days=(2, 3)),
        "of an unknown CA": issue(folder, "of an unknown CA", other),
        "its own issuer": issue(folder, "its own issuer"),
        "unreadable": issue(folder, "unreadable", authority, unreadable=True),
    }


@pytest.fixture(scope="module")
def odd_pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    folder = tmp_path_factory.mktemp("odd")
    keys = {
        "rsa of 1024 bits": rsa.generate_private_key(65537, 1024),  # noqa: S505 - one to be refused
        "rsa of 4104 bits": rsa.generate_private_key(65537, 4104),
        "rsa with e=3": rsa.generate_private_key(3, 2048),
        "another curve": ec.generate_private_key(ec.SECP521R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
    }
    return {name: issue(folder, name, key=key) for name, key in keys.items()}


@pytest.fixture
def tls(pairs: dict[str, Pair]) -> SiteTls:
    return SiteTls(pairs["server"].file, pairs["server"].file, [pairs["authority"].der], ChoiceBook())


@pytest.fixture
def site(tls: SiteTls, caplog: pytest.LogCaptureFixture) -> Iterator[Running]:
    with running(tls) as served:
        yield served
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.fixture
def poor_site(tls: SiteTls, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Running]:
    """Serve a site on a Python that has ssl built in, so that only its public API can be used."""
    monkeypatch.delattr(_ssl, "__file__", raising=False)
    caches = (openssl._library, openssl._watch, context.everything_holds)
    for cached in caches:
        cached.cache_clear()
    with running(tls) as served:
        assert context.MISSED in caplog.text
        yield served
    monkeypatch.undo()
    for cached in caches:
        cached.cache_clear()


def s_client(site: Running, *options: str, stdin: bytes = b"") -> str:
    argv = ["openssl", "s_client", "-connect", f"{HOST}:{site.port}", *options]
    done = subprocess.run(argv, input=stdin, capture_output=True, timeout=30, check=False)
    return (done.stdout + done.stderr).decode(errors="replace")


def refusal(site: Running, pair: Pair, version: ssl.TLSVersion, *, data: bytes = b"") -> str:
    """Return how a visitor learns that they are refused, having sent `data` before they could know."""
    try:
        with site.visit(pair, version) as visitor:
            visitor.send(data)
            visitor.socket.recv(1)
    except ssl.SSLError as refused:
        return str(refused)
    raise AssertionError("the visitor was let in")


@both
@pytest.mark.parametrize(
    "name", ["good", "rsa", "expired", "not yet valid", "of an unknown CA", "its own issuer", "unreadable"]
)
def test_every_certificate_reaches_the_application_as_it_was_shown(
    site: Running, pairs: dict[str, Pair], name: str, version: ssl.TLSVersion
) -> None:
    learned = site.meet(pairs[name], version)
    assert bytes.fromhex(learned["sekisho.client_certificate"]) == pairs[name].der
    [leaf] = learned["tls"]["client_cert_chain"]
    assert ssl.PEM_cert_to_DER_cert(leaf) == pairs[name].der
    assert learned["tls"]["client_cert_name"] == f"CN={name}"
    assert learned["tls"]["client_cert_error"].startswith("not verified")


@both
@pytest.mark.parametrize("name", ["rsa of 1024 bits", "rsa of 4104 bits", "ed25519", "another curve", "rsa with e=3"])
def test_a_key_that_nobody_certifies_is_refused_before_anything_is_computed_with_it(
    tls: SiteTls, odd_pairs: dict[str, Pair], pairs: dict[str, Pair], name: str, version: ssl.TLSVersion
) -> None:
    with running(replace(tls, key_fits=certified_key_fits)) as strict:
        assert _BAD_CERTIFICATE in refusal(strict, odd_pairs[name], version)
        for fits in ("good", "rsa", "of an unknown CA", "unreadable"):
            assert strict.meet(pairs[fits], version)["sekisho.client_certificate"] == pairs[fits].der.hex()


@both
def test_a_visitor_without_a_certificate_comes_in(site: Running, version: ssl.TLSVersion) -> None:
    learned = site.meet(None, version)
    assert learned["sekisho.client_certificate"] is None
    assert learned["tls"]["client_cert_chain"] == []
    assert learned["tls"]["client_cert_name"] is None
    assert learned["tls"]["client_cert_error"] is None


@both
def test_the_application_learns_of_the_connection(
    site: Running, pairs: dict[str, Pair], version: ssl.TLSVersion
) -> None:
    with site.visit(pairs["good"], version) as visitor:
        name = visitor.socket.cipher()[0]
        told = visitor.learned()["tls"]
    numbers = {one["name"]: one["id"] & 0xFFFF for one in client_context().get_ciphers()}
    assert told["tls_version"] == {V12: 0x0303, V13: 0x0304}[version]
    assert told["cipher_suite"] == numbers[name]
    assert x509.load_pem_x509_certificate(told["server_cert"].encode()) == pairs["server"].certificate


def test_all_requests_of_a_connection_learn_the_same(site: Running, pairs: dict[str, Pair]) -> None:
    with site.visit(pairs["good"]) as visitor:
        assert visitor.learned() == visitor.learned()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_versions_are_told_so(site: Running, version: ssl.TLSVersion) -> None:
    old = client_context()
    old.minimum_version = version
    old.maximum_version = version
    old.set_ciphers("ALL:@SECLEVEL=0")
    visitor = site.visit()
    visitor.context = old
    with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"), visitor:
        pass


def test_old_ciphers_are_refused(site: Running) -> None:
    old = client_context(version=V12)
    old.set_ciphers("ECDHE-ECDSA-AES256-SHA384")
    visitor = site.visit()
    visitor.context = old
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"), visitor:
        pass


def test_http_1_1_is_agreed_on(site: Running) -> None:
    offering = client_context()
    offering.set_alpn_protocols(["h2", "http/1.1"])
    visitor = site.visit()
    visitor.context = offering
    with visitor:
        assert visitor.socket.selected_alpn_protocol() == "http/1.1"


@both
def test_the_visitor_is_told_which_issuing_ca_is_asked_for(site: Running, version: ssl.TLSVersion) -> None:
    told = s_client(site, _S_CLIENT[version])
    after = told.partition("Acceptable client certificate CA names\n")[2].splitlines()
    assert after[0] == "CN = issuing CA for users"
    assert not after[1].startswith("CN =")


def test_a_site_that_asks_for_no_certificate_gets_none(tls: SiteTls, pairs: dict[str, Pair]) -> None:
    with running(replace(tls, client_authorities=None)) as public:
        told = s_client(public, "-cert", str(pairs["good"].file))
        assert "No client certificate CA names sent" in told
        assert "Acceptable client certificate CA names" not in told
        assert public.meet(pairs["good"])["sekisho.client_certificate"] is None


@both
def test_no_session_is_resumed(site: Running, pairs: dict[str, Pair], version: ssl.TLSVersion) -> None:
    with site.visit(pairs["good"], version) as visitor:
        visitor.learned()
        session = visitor.socket.session
        assert session is None or not (session.has_ticket or session.id)


def test_openssl_cannot_resume_either(site: Running, pairs: dict[str, Pair], tmp_path: Path) -> None:
    own = ["-cert", str(pairs["good"].file)]
    told = s_client(site, "-tls1_2", "-reconnect", *own)
    assert told.count("New, TLSv1.2") == 6
    assert "Reused" not in told
    ask = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    kept = tmp_path / "session"
    told = s_client(site, "-tls1_3", "-ign_eof", "-sess_out", str(kept), *own, stdin=ask)
    assert "HTTP/1.1 200" in told
    assert "New Session Ticket" not in told
    assert not kept.exists()


@both
def test_a_marked_certificate_is_refused_once_and_then_comes_in(
    site: Running, pairs: dict[str, Pair], version: ssl.TLSVersion
) -> None:
    with site.visit(pairs["good"], version) as visitor:
        assert visitor.get("/mark").status == 200
    assert site.meet(pairs["another"], version)["sekisho.client_certificate"]
    assert site.meet(None, version)["sekisho.client_certificate"] is None
    assert _BAD_CERTIFICATE in refusal(site, pairs["good"], version)
    assert site.meet(pairs["good"], version)["sekisho.client_certificate"]


def test_the_alert_arrives_although_the_visitor_sent_a_request_before(site: Running, pairs: dict[str, Pair]) -> None:
    # In TLS 1.3 the client is done, and speaks, before the server has seen its certificate.
    for _ in range(20):
        site.choices.mark(pairs["good"].fingerprint)
        request = b"GET / HTTP/1.1\r\nhost: localhost\r\ncookie: " + b"x" * 8000 + b"\r\n\r\n"
        assert _BAD_CERTIFICATE in refusal(site, pairs["good"], V13, data=request)


def test_marking_ends_the_other_connections_of_that_certificate(site: Running, pairs: dict[str, Pair]) -> None:
    with (
        site.visit(pairs["good"]) as marking,
        site.visit(pairs["good"]) as idle,
        site.visit(pairs["good"]) as unused,
        site.visit(pairs["good"]) as busy,
        site.visit(pairs["another"]) as another,
    ):
        idle.learned()
        another.learned()
        busy.send(b"GET /wait HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert site.reached.wait(10)
        assert marking.get("/mark").headers["connection"] == "close"
        assert marking.is_let_go()
        assert idle.is_let_go()
        assert unused.is_let_go()
        site.release()
        assert busy.answer().headers["connection"] == "close"
        assert busy.is_let_go()
        assert another.learned()["sekisho.client_certificate"]


@both
@pytest.mark.parametrize("name", ["good", "rsa", "expired", "not yet valid"])
def test_the_public_api_lets_the_bank_s_own_certificates_in(
    poor_site: Running, pairs: dict[str, Pair], name: str, version: ssl.TLSVersion
) -> None:
    learned = poor_site.meet(pairs[name], version)
    assert bytes.fromhex(learned["sekisho.client_certificate"]) == pairs[name].der


@both
def test_the_public_api_lets_visitors_without_a_certificate_in(poor_site: Running, version: ssl.TLSVersion) -> None:
    assert poor_site.meet(None, version)["sekisho.client_certificate"] is None


@both
def test_the_public_api_refuses_strangers_and_says_why(
    poor_site: Running, pairs: dict[str, Pair], version: ssl.TLSVersion
) -> None:
    assert _UNKNOWN_CA in refusal(poor_site, pairs["of an unknown CA"], version)


def test_the_public_api_cannot_refuse_on_demand(poor_site: Running, pairs: dict[str, Pair]) -> None:
    poor_site.choices.mark(pairs["good"].fingerprint)
    assert poor_site.meet(pairs["good"])["sekisho.client_certificate"]
