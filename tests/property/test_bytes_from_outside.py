"""Whatever bytes come from outside: a refusal at most. No crash, no hang, no 500.

Requests, EST bodies and headers, certificates at the door, questions to the
CA, and what the linter reads. Each property runs some hundred examples in
`make test` and many more in `make soak`.
"""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPRequestBuilder
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.support.authority import BANK, NOW, PKI_URL, new_hierarchy, order
from tests.support.est_site import EstSite, credentials, est_site
from tests.support.mutations import anything
from tests.support.world import KEIRI02, csr_der, world

from sekisho.ca import lists, process, wire
from sekisho.ca.authority import Authority
from sekisho.ca.journal import Journal
from sekisho.ca.signer import Signer
from sekisho.domain.certificate import Reason
from sekisho.domain.errors import KeyRefused, NotAccepted, Refusal
from sekisho.domain.person import Kind
from sekisho.est.messages import read_body, read_credentials
from sekisho.pki import crl, hierarchy, ocsp
from sekisho.pki.compromised_keys import CompromisedKeys
from sekisho.pki.csr import Csr, read_csr
from sekisho.pki.linting.person import PersonLinter
from sekisho.usecases.meet_visitor import meet_visitor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.world import World

    from sekisho.domain.certificate import IssuedCertificate
    from sekisho.pki.profile import Order

FEW_AND_MANY = [
    pytest.param(150, id="few"),
    pytest.param(5_000, id="many", marks=pytest.mark.soak),
]
# The slowest that is bounded takes milliseconds; what takes half a minute hangs.
HANGS = timedelta(seconds=30)


def examples(count: int) -> Callable[[Any], Any]:
    return settings(
        max_examples=count,
        deadline=HANGS,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def csr_of(key: Any, algorithm: Any) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "見本")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    return builder.sign(key, algorithm).public_bytes(Encoding.DER)


RSA = rsa.generate_private_key(65537, 2048)
REQUESTS = [
    csr_der(ec.generate_private_key(ec.SECP256R1())),
    csr_der(ec.generate_private_key(ec.SECP384R1())),
    csr_der(ec.generate_private_key(ec.SECP521R1())),
    csr_der(RSA),
    csr_of(dsa.generate_private_key(1024), hashes.SHA256()),  # noqa: S505 - it is to be refused
    csr_of(ed25519.Ed25519PrivateKey.generate(), None),
]
AS_PEM = [x509.load_der_x509_csr(der).public_bytes(Encoding.PEM) for der in REQUESTS[:4]]


@pytest.mark.parametrize("count", FEW_AND_MANY)
def test_a_request_is_read_or_refused(count: int) -> None:
    listed = CompromisedKeys(b"\x00" * 16)

    @examples(count)
    @given(anything([*REQUESTS, *AS_PEM]))
    def holds(data: bytes) -> None:
        try:
            read = read_csr(data)
        except KeyRefused:
            return
        assert isinstance(read, Csr)
        listed.check(read.spki)

    holds()


@pytest.mark.parametrize("count", FEW_AND_MANY)
def test_a_body_is_read_or_refused(count: int) -> None:
    bodies = [base64.encodebytes(der) for der in REQUESTS] + AS_PEM + REQUESTS

    @examples(count)
    @given(anything(bodies))
    def holds(body: bytes) -> None:
        try:
            read_csr(read_body(body))
        except KeyRefused:
            return

    holds()


@pytest.mark.parametrize("count", FEW_AND_MANY)
def test_credentials_are_read_or_refused(count: int) -> None:
    @examples(count)
    @given(
        st.one_of(
            st.text(),
            st.text().map(lambda text: f"Basic {text}"),
            st.binary().map(lambda data: f"Basic {base64.b64encode(data).decode()}"),
            st.text().map(lambda text: "basic " + base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()),
        )
    )
    @example("Basic \x80")
    @example("Basic")
    @example("Basic =")
    def holds(header: str) -> None:
        try:
            read_credentials(header)
        except NotAccepted:
            return

    holds()


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("outside")) as opened:
        yield opened


@pytest.fixture(scope="module")
def held(bank: World) -> IssuedCertificate:
    return bank.acquire(KEIRI02)


@pytest.fixture(scope="module")
def public(bank: World) -> Iterator[EstSite]:
    with est_site(bank) as site:
        yield site


@pytest.fixture(scope="module")
def user(bank: World) -> Iterator[EstSite]:
    with est_site(bank, "user") as site:
        yield site


@pytest.mark.parametrize("count", FEW_AND_MANY)
def test_est_answers_any_body_with_certificates_or_a_short_text(public: EstSite, count: int) -> None:
    @examples(count)
    @given(anything([base64.encodebytes(der) for der in REQUESTS] + REQUESTS[:2]), st.sampled_from(["9990/", ""]))
    def holds(body: bytes, label: str) -> None:
        answer = public.ask(f"{label}simpleenroll", body, authorization=credentials())
        assert answer.status_code in {200, 400, 409, 413}
        if answer.status_code != 200:
            assert answer.headers["content-type"] == "text/plain; charset=utf-8"
            assert len(answer.text) < 600

    holds()


@pytest.mark.parametrize("count", FEW_AND_MANY)
def test_est_answers_any_address_and_header(public: EstSite, count: int) -> None:
    segments = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?#%\\"), max_size=60)
    headers = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200).map(str.strip)

    @examples(count)
    @given(segments, headers, st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE"]))
    def holds(where: str, header: str, method: str) -> None:
        answer = public.ask(
            where.strip("/"), method=method, authorization=header, accept_language=header, sekisho_key_held=header
        )
        assert answer.status_code < 500 or answer.status_code == 501

    holds()


@pytest.mark.parametrize("count", FEW_AND_MANY)
def test_a_certificate_at_the_door_counts_only_as_it_was_issued(
    bank: World, user: EstSite, held: IssuedCertificate, count: int
) -> None:
    good = held.der
    root = bank.made.root.certificate.public_bytes(Encoding.DER)
    body = base64.b64encode(REQUESTS[0])

    @examples(count)
    @given(anything([good, root]))
    def holds(der: bytes) -> None:
        try:
            meet_visitor(bank.ports, bank=bank.bank, kind=Kind.USER, der=der)
        except Refusal:
            assert der != good
        else:
            assert der == good
        user.shown.der = der
        answer = user.ask("9990/simplereenroll", body, authorization=credentials(KEIRI02, renewal=True))
        assert answer.status_code == 403

    holds()


MADE = new_hierarchy()
SIGNER = Signer(BANK, MADE.cas, PKI_URL, now=lambda: NOW)
ORDER = wire.order_part(order())
ENTRIES = b"".join(crl.entry(serial, NOW, Reason.SUPERSEDED) for serial in (5, 300, 1 << 127))
LISTS = [lists.part(lists.Asked(Kind.USER, shard, ENTRIES, 3, NOW, NOW + timedelta(days=1))) for shard in (None, 0, 12)]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    journal = Journal(tmp_path_factory.mktemp("ca") / "journal", b"k" * 32)
    yield Authority(SIGNER, journal, now=lambda: NOW)
    journal.close()


@pytest.mark.parametrize("count", FEW_AND_MANY)
def test_the_ca_answers_any_question_or_hangs_up(authority: Authority, count: int) -> None:
    questions = [
        wire.question(wire.Ask.SIGN, [ORDER]),
        wire.question(wire.Ask.SIGN, [ORDER, ORDER]),
        *(wire.question(wire.Ask.CRL, [one]) for one in LISTS),
        wire.question(wire.Ask.SIGN, []),
    ]

    @examples(count)
    @given(anything(questions))
    def holds(message: bytes) -> None:
        try:
            results = process._results(message, authority)
        except wire.Broken:
            return
        assert all(result is None or isinstance(result, bytes) for result in results)
        assert wire.read_answer(wire.answer(results), len(results)) == results

    holds()


@pytest.mark.parametrize("count", FEW_AND_MANY)
def test_whatever_entries_a_list_is_asked_for_what_is_signed_is_a_list(count: int) -> None:
    """The entries go into the list as they are: what is no list of entries must not be signed."""
    issuer = MADE.issuing[Kind.USER].certificate.public_key()

    @examples(count)
    @given(anything([ENTRIES, crl.entry(5, NOW, Reason.UNSPECIFIED)]))
    def holds(entries: bytes) -> None:
        try:
            der = SIGNER.sign_crl(
                Kind.USER, None, entries, number=3, this_update=NOW, next_update=NOW + timedelta(days=1)
            )
        except ValueError:
            return
        signed = x509.load_der_x509_crl(der)
        assert signed.is_signature_valid(issuer)  # type: ignore[arg-type]  # an elliptic curve
        assert [revoked.serial_number > 0 for revoked in signed].count(False) == 0
        assert signed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 3

    holds()


@pytest.mark.parametrize("count", FEW_AND_MANY)
def test_the_callers_of_the_ca_read_any_answer(count: int) -> None:
    @examples(count)
    @given(anything([wire.answer([b"certificate", None]), wire.answer([])]), st.integers(0, 3))
    def holds(message: bytes, asked: int) -> None:
        try:
            assert len(wire.read_answer(message, asked)) == asked
        except wire.Broken:
            return

    holds()


@pytest.mark.parametrize("count", FEW_AND_MANY)
def test_a_question_about_a_certificate_is_read_or_malformed(count: int) -> None:
    asked = OCSPRequestBuilder().add_certificate(
        *(MADE.issuing[Kind.USER].certificate, MADE.root.certificate, hashes.SHA256())
    )
    with_nonce = asked.add_extension(x509.OCSPNonce(b"n" * 32), critical=False)

    @examples(count)
    @given(anything([one.build().public_bytes(Encoding.DER) for one in (asked, with_nonce)]))
    def holds(der: bytes) -> None:
        try:
            question = ocsp.read_question(der)
        except ocsp.Malformed:
            return
        assert question.nonce is None or 0 < len(question.nonce) <= ocsp.LONGEST_NONCE

    holds()


def test_the_linter_finds_each_bit_that_is_not_as_ordered() -> None:
    linter, asked, good = linted()
    assert linter.findings(good, asked) == []
    unseen = []
    for place in range(8 * len(good)):
        changed = bytearray(good)
        changed[place // 8] ^= 1 << place % 8
        if not linter.findings(bytes(changed), asked):
            unseen.append(place)
    assert unseen == []


def linted() -> tuple[PersonLinter, Order, bytes]:
    """Return a linter, an order, and the bytes that are good for it."""
    addresses = hierarchy.addresses(BANK.code, Kind.USER, PKI_URL)
    linter = PersonLinter(BANK, Kind.USER, issuer=MADE.issuing[Kind.USER].certificate, addresses=addresses)
    asked = order()
    return linter, asked, x509.load_der_x509_certificate(SIGNER.sign(asked)).tbs_certificate_bytes


@pytest.mark.parametrize("count", FEW_AND_MANY)
def test_the_linter_finds_something_in_all_that_is_not_the_order(count: int) -> None:
    linter, asked, good = linted()
    other = MADE.issuing[Kind.USER].certificate.tbs_certificate_bytes

    @examples(count)
    @given(anything([good, other]))
    def holds(tbs: bytes) -> None:
        assert bool(linter.findings(tbs, asked)) == (tbs != good)

    holds()
