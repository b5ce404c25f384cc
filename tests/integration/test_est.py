"""EST to the letter: RFC 7030, 8951 and 9908, on the real routes without a socket."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from pyasn1.codec.der.decoder import decode  # type: ignore[import-untyped]  # it has no types
from pyasn1_alt_modules import rfc7030, rfc9908  # type: ignore[import-untyped]  # the same
from tests.support.est_site import EST, EstSite, credentials, est_site
from tests.support.world import KEIRI01, csr_der, new_key

from sekisho.domain.errors import CaAway, StoreAway
from sekisho.est import enrollment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.world import World

P256, EC, SIGNED = "1.2.840.10045.3.1.7", "1.2.840.10045.2.1", "1.2.840.10045.4.3.2"


@pytest.fixture
def engine() -> str:
    """Run on one database: what differs between the two is below EST and tested there."""
    return "sqlite"


@pytest.fixture
def public(bank: World) -> Iterator[EstSite]:
    with est_site(bank) as site:
        yield site


@pytest.fixture
def user(bank: World) -> Iterator[EstSite]:
    with est_site(bank, "user") as site:
        yield site


def certificates(answer: Any) -> list[x509.Certificate]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/pkcs7-mime; smime-type=certs-only"
    return pkcs7.load_der_pkcs7_certificates(base64.b64decode(answer.content))


def as_text(answer: Any, status: int, code: str) -> str:
    """Look at what every error has: a short plain text that begins with the published code."""
    assert (answer.status_code, answer.headers["x-sekisho-code"]) == (status, code)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text.startswith(f"{code}: ")
    assert len(answer.text) < 600
    assert "<" not in answer.text
    text: str = answer.text
    return text


def test_cacerts_are_the_root_and_both_issuing_cas(public: EstSite, bank: World) -> None:
    made = [bank.made.root.certificate, *(pair.certificate for pair in bank.made.issuing.values())]
    assert set(certificates(public.ask("9990/cacerts"))) == set(made)
    head = public.ask("9990/cacerts", method="HEAD")
    assert (head.status_code, head.headers["content-type"]) == (
        200,
        "application/pkcs7-mime; smime-type=certs-only",
    )


def test_csrattrs_say_it_the_old_way_and_by_a_template(public: EstSite) -> None:
    answer = public.ask("9990/csrattrs")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/csrattrs")
    attributes, rest = decode(base64.b64decode(answer.content), asn1Spec=rfc7030.CsrAttrs())
    assert not rest
    key, signature, template = attributes
    assert str(key["attribute"]["attrType"]) == EC
    assert [str(decode(value)[0]) for value in key["attribute"]["attrValues"]] == [P256]
    assert str(signature["oid"]) == SIGNED
    assert template["attribute"]["attrType"] == rfc9908.id_aa_certificationRequestInfoTemplate
    (value,) = template["attribute"]["attrValues"]
    wanted, rest = decode(value, asn1Spec=rfc9908.CertificationRequestInfoTemplate())
    assert not rest
    assert int(wanted["version"]) == 0
    assert not wanted["subject"].hasValue(), "the client's name for itself is not read"
    algorithm = wanted["subjectPKInfo"]["algorithm"]
    assert (str(algorithm["algorithm"]), str(decode(algorithm["parameters"])[0])) == (EC, P256)
    assert not wanted["subjectPKInfo"]["subjectPublicKey"].hasValue()


def one_line(der: bytes) -> bytes:
    return base64.b64encode(der)


BODIES: dict[str, Callable[[bytes], bytes]] = {
    "one line": one_line,
    "one line and an end": lambda der: one_line(der) + b"\r\n",
    "lines": base64.encodebytes,
    "lines with CR": lambda der: base64.encodebytes(der).replace(b"\n", b"\r\n"),
    "blanks and tabs": lambda der: b" \t".join(one_line(der)[at : at + 10] for at in range(0, len(der) * 2, 10)),
    "DER": lambda der: der,
    "PEM": lambda der: x509.load_der_x509_csr(der).public_bytes(Encoding.PEM),
}


@pytest.mark.parametrize("written", BODIES)
@pytest.mark.parametrize("encoding", ["base64", "binary", "8bit"])
def test_a_request_is_read_however_it_was_wrapped(public: EstSite, written: str, encoding: str) -> None:
    """Content-Transfer-Encoding is not looked at (RFC 8951 section 3)."""
    key = new_key()
    answer = public.ask(
        "9990/simpleenroll",
        BODIES[written](csr_der(key)),
        authorization=credentials(),
        content_transfer_encoding=encoding,
    )
    (issued,) = certificates(answer)
    assert issued.public_key() == key.public_key()


def test_a_request_whose_last_octet_looks_like_a_blank_is_whole(public: EstSite) -> None:
    key = new_key()
    der = next(der for _ in range(10_000) if (der := csr_der(key))[-1:].isspace())
    answer = public.ask("9990/simpleenroll", der, authorization=credentials())
    (issued,) = certificates(answer)
    assert issued.public_key() == key.public_key()


@pytest.mark.parametrize("body", [b"", b"=", b"MIIB", b"\x00" * 100, b"-----BEGIN", "要求".encode(), b"A" * 20_000])
def test_what_is_no_request_is_told(public: EstSite, body: bytes) -> None:
    answer = public.ask("9990/simpleenroll", body, method="POST", authorization=credentials())
    as_text(answer, 400, "csr-not-accepted")


def test_lines_with_the_label_and_one_line_without(public: EstSite) -> None:
    """Some read base64 in lines alone, others in one line alone; both stand at an address of their own."""
    labelled, bare = public.ask("9990/cacerts"), public.ask("cacerts")
    assert max(map(len, labelled.content.splitlines())) == 76
    assert len(bare.content.splitlines()) == 1
    assert b"".join(labelled.content.split()) == bare.content
    for answer in (labelled, bare):
        assert answer.headers["content-transfer-encoding"] == "base64"


def test_without_a_label_the_sites_bank_answers(public: EstSite) -> None:
    assert certificates(public.ask("simpleenroll", one_line(csr_der(new_key())), authorization=credentials()))
    as_text(public.ask("1234/simpleenroll", b"x", authorization=credentials()), 404, "page-unknown")
    as_text(public.ask("1234/cacerts"), 404, "page-unknown")


@pytest.mark.parametrize("operation", ["fullcmc", "serverkeygen", "simplereenroll"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_operations_that_the_public_site_has_not(public: EstSite, operation: str, method: str) -> None:
    for label in ("9990/", ""):
        as_text(public.ask(label + operation, method=method), 501, "operation-not-offered")


def test_the_secure_site_enrolls_nobody_anew(user: EstSite) -> None:
    as_text(user.ask("9990/simpleenroll", b"x", authorization=credentials()), 501, "operation-not-offered")


@pytest.mark.parametrize("where", ["", "9990", "9990/", "9990/nothing", "9990/cacerts/", "9990/9990/cacerts", "a/b/c"])
def test_other_addresses_below_est(public: EstSite, where: str) -> None:
    as_text(public.ask(where), 404, "page-unknown")


@pytest.mark.parametrize(
    ("method", "operation", "allowed"),
    [
        ("POST", "cacerts", "GET, HEAD"),
        ("PUT", "csrattrs", "GET, HEAD"),
        ("OPTIONS", "cacerts", "GET, HEAD"),
        ("GET", "simpleenroll", "POST"),
        ("DELETE", "simpleenroll", "POST"),
        ("PROPFIND", "simpleenroll", "POST"),
    ],
)
def test_other_methods(public: EstSite, method: str, operation: str, allowed: str) -> None:
    answer = public.ask(f"9990/{operation}", method=method)
    as_text(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == allowed


def test_head_of_an_error_is_short_as_well(public: EstSite) -> None:
    answer = public.ask("9990/simpleenroll", method="HEAD")
    assert (answer.status_code, answer.headers["x-sekisho-code"]) == (405, "method-not-allowed")


@pytest.mark.parametrize("header", [None, "Bearer x", "Basic", "Basic !!!", "Basic " + base64.b64encode(b"x").decode()])
def test_whoever_does_not_say_who_they_are_is_asked(public: EstSite, header: str | None) -> None:
    named = {} if header is None else {"authorization": header}
    answer = public.ask("9990/simpleenroll", one_line(csr_der(new_key())), **named)
    as_text(answer, 401, "not-accepted")
    assert answer.headers["www-authenticate"] == 'Basic realm="Sekisho EST", charset="UTF-8"'


@pytest.mark.parametrize(
    "header", [{"origin": "https://elsewhere.example"}, {"sec_fetch_site": "cross-site"}, {"origin": "null"}]
)
def test_what_a_page_of_another_site_sends_does_nothing(public: EstSite, bank: World, header: dict[str, str]) -> None:
    body = one_line(csr_der(new_key()))
    as_text(
        public.ask("9990/simpleenroll", body, authorization=credentials(), **header),
        403,
        "form-expired",
    )
    assert bank.rows("SELECT count(*) AS n FROM orders")[0].n == 0


def test_errors_are_in_the_language_that_was_asked_for(public: EstSite) -> None:
    japanese = as_text(public.ask("9990/fullcmc", accept_language="ja"), 501, "operation-not-offered")
    assert "提供していません" in japanese
    assert "not offered" in as_text(public.ask("9990/fullcmc"), 501, "operation-not-offered")


class Away:
    """A CA that does not answer until it is back."""

    def __init__(self, ca: Any) -> None:
        self._ca = ca
        self.away = True

    def sign_all(self, orders: Any) -> Any:
        if self.away:
            raise CaAway
        return self._ca.sign_all(orders)


def test_while_the_ca_is_away_the_order_waits_and_the_same_request_picks_it_up(bank: World) -> None:
    """202 with Retry-After (section 4.2.3): the client waits and sends the same request again."""
    ca = Away(bank.ports.cas["9990"])
    key = new_key()
    body = one_line(csr_der(key))
    cas: Any = {"9990": ca}
    with est_site(bank, ports=replace(bank.ports, cas=cas)) as site:
        for _ in range(2):
            answer = site.ask("9990/simpleenroll", body, authorization=credentials())
            as_text(answer, 202, "ca-away")
            assert int(answer.headers["retry-after"]) > 0
        assert certificates(site.ask("9990/cacerts")), "what needs no key is answered meanwhile"
        assert bank.rows("SELECT count(*) AS n FROM orders")[0].n == 1
        ca.away = False
        (issued,) = certificates(site.ask("9990/simpleenroll", body, authorization=credentials()))
        assert issued.public_key() == key.public_key()
        other = site.ask("9990/simpleenroll", one_line(csr_der(new_key())), authorization=credentials())
        as_text(other, 409, "permit-spent")


def test_while_the_database_is_away_the_client_is_told_to_come_back(
    public: EstSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> Any:
        raise StoreAway

    monkeypatch.setattr(enrollment, "acquire_certificate", away)
    answer = public.ask("9990/simpleenroll", one_line(csr_der(new_key())), authorization=credentials())
    as_text(answer, 503, "service-unavailable")
    assert int(answer.headers["retry-after"]) > 0


def test_a_bug_is_a_short_text_with_a_number_that_stands_in_the_log(
    public: EstSite, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise LookupError("what nobody outside may read")

    monkeypatch.setattr(enrollment, "acquire_certificate", broken)
    answer = public.ask("9990/simpleenroll", one_line(csr_der(new_key())), authorization=credentials())
    text = as_text(answer, 500, "internal")
    assert "nobody outside" not in text
    reference = next(word for word in text.replace(".", " ").split() if len(word) == 8 and word in caplog.text)
    assert f"bug {reference} at POST {EST}/9990/simpleenroll" in caplog.text


def test_renewal_shows_the_present_certificate(user: EstSite, bank: World) -> None:
    held = bank.acquire(KEIRI01)
    key = new_key()
    body = one_line(csr_der(key))
    as_text(
        user.ask("9990/simplereenroll", body, authorization=credentials(renewal=True)),
        403,
        "certificate-missing",
    )
    user.shown.der = held.der
    early = user.ask("9990/simplereenroll", body, authorization=credentials(renewal=True))
    as_text(early, 403, "renewal-not-open")
    bank.later(days=336)
    for where in ("9990/simplereenroll", "simplereenroll"):
        (issued,) = certificates(user.ask(where, body, authorization=credentials(renewal=True)))
        assert issued.public_key() == key.public_key(), "twice the same request, twice the same certificate"
