"""What is answered about certificates: the truth of the table, by whom the issuing CA lets speak, at no great cost."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.ocsp import OCSPCertStatus, OCSPResponseStatus
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.asker import Reply, Site, question
from tests.support.world import ADMINISTRATOR, BANK, KEIRI01, KEIRI02, World, new_csr

from sekisho.domain.certificate import Reason
from sekisho.domain.errors import CaAway, StoreAway
from sekisho.domain.person import Kind
from sekisho.store import restores
from sekisho.store.audit import Actor
from sekisho.usecases.lift_certificate import lift_certificate
from sekisho.usecases.revoke_certificate import revoke_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sekisho.domain.certificate import IssuedCertificate
    from sekisho.pki import ocsp

OPERATOR = Actor("operator:test")
GOOD, REVOKED, UNKNOWN = OCSPCertStatus.GOOD, OCSPCertStatus.REVOKED, OCSPCertStatus.UNKNOWN


@dataclass
class Counted:
    """The CA, with a count of what it signed; `fault` is what it does instead."""

    ca: Any
    answers: int = 0
    questions: int = 0
    fault: Exception | None = None

    def answer_all(self, asked: Sequence[ocsp.Answer]) -> list[bytes | Exception]:
        if self.fault is not None:
            raise self.fault
        self.questions += bool(asked)
        self.answers += len(asked)
        outcomes: list[bytes | Exception] = self.ca.answer_all(asked)
        return outcomes

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ca, name)


@pytest.fixture
def ca(bank: World) -> Counted:
    counted = Counted(bank.ports.cas[BANK.code])
    bank.ports = replace(bank.ports, cas={BANK.code: counted})
    return counted


@pytest.fixture
def site(bank: World, ca: Counted) -> Iterator[Site]:
    opened = Site(bank)
    yield opened
    opened.close()


def about(bank: World, certificate: IssuedCertificate, **how: Any) -> bytes:
    return question(bank.made.issuing[certificate.kind].certificate, certificate.serial, **how)


def revoke(bank: World, certificate: IssuedCertificate, reason: Reason = Reason.KEY_COMPROMISE) -> None:
    revoke_certificate(bank.ports, serial=certificate.serial, reason=reason, actor=OPERATOR)


def status(reply: Reply) -> OCSPCertStatus:
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/ocsp-response"
    assert reply.headers["content-length"] == str(len(reply.body))
    return reply.response.certificate_status


def failure(reply: Reply) -> OCSPResponseStatus:
    """Return the status of an answer that nobody signed, and that no cache may keep (RFC 9919 section 6)."""
    assert reply.status == 200
    assert reply.headers["cache-control"] == "no-store"
    assert reply.response.response_status is not OCSPResponseStatus.SUCCESSFUL
    return reply.response.response_status


def by_its_issuer(bank: World, reply: Reply, kind: Kind) -> x509.Certificate:
    """Check the signature as RFC 6960 section 4.2.2.2 tells clients to, and return the responder's certificate."""
    response, issuer = reply.response, bank.made.issuing[kind].certificate
    (responder,) = response.certificates
    responder.verify_directly_issued_by(issuer)
    key = responder.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert response.signature_hash_algorithm is not None
    key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(response.signature_hash_algorithm))
    purposes = responder.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [x509.oid.ExtendedKeyUsageOID.OCSP_SIGNING]
    assert responder.extensions.get_extension_for_class(x509.OCSPNoCheck)
    assert responder.not_valid_before_utc <= bank.clock[0] < responder.not_valid_after_utc
    assert responder.not_valid_after_utc - bank.clock[0] <= timedelta(days=7)
    return responder


@pytest.mark.parametrize("digest", [hashes.SHA1(), hashes.SHA256()])  # noqa: S303 - what clients use
@pytest.mark.parametrize("who", [ADMINISTRATOR, KEIRI01])
def test_a_certificate_in_force_is_good_and_its_own_issuer_says_so(
    bank: World, site: Site, who: Any, digest: hashes.HashAlgorithm
) -> None:
    held = bank.acquire(who)
    asked = about(bank, held, digest=digest)
    posted = site.post(asked)
    assert status(posted) is GOOD
    by_its_issuer(bank, posted, held.kind)
    response = posted.response
    assert (response.serial_number, response.hash_algorithm.name) == (held.serial, digest.name)
    assert response.this_update_utc == bank.clock[0]
    assert response.next_update_utc == bank.clock[0] + timedelta(hours=1)
    assert site.get(asked).body == posted.body, "GET and POST get the same"


def test_a_database_that_was_set_back_tells_only_what_is_revoked(bank: World, site: Site) -> None:
    held, revoked = bank.acquire(KEIRI01), bank.acquire(ADMINISTRATOR)
    revoke(bank, revoked)
    bank.ports.db.write(lambda tx: restores.note(tx, BANK.code, bank.clock[0]))
    assert failure(site.post(about(bank, held))) is OCSPResponseStatus.TRY_LATER
    never_stored = question(bank.made.issuing[Kind.USER].certificate, 0x1234)
    assert failure(site.post(never_stored)) is OCSPResponseStatus.TRY_LATER
    assert status(site.post(about(bank, revoked))) is REVOKED
    bank.ports.db.write(lambda tx: restores.clear(tx, BANK.code))
    assert status(site.post(about(bank, held))) is GOOD


def test_the_life_of_a_certificate_as_it_is_told(bank: World, site: Site) -> None:
    held = bank.acquire(KEIRI01)
    asked = about(bank, held)
    assert status(site.post(asked)) is GOOD
    suspended = bank.later(minutes=1)
    revoke(bank, held, Reason.CERTIFICATE_HOLD)
    site.clock[0] += 1
    response = site.post(asked).response
    assert (response.certificate_status, response.revocation_time_utc) == (REVOKED, suspended)
    assert response.revocation_reason is x509.ReasonFlags.certificate_hold
    lift_certificate(bank.ports, serial=held.serial, actor=OPERATOR)
    site.clock[0] += 1
    assert status(site.post(asked)) is GOOD
    bank.later(minutes=1)
    revoke(bank, held, Reason.CERTIFICATE_HOLD)
    again = bank.clock[0]
    bank.later(minutes=1)
    revoke(bank, held, Reason.KEY_COMPROMISE)
    site.clock[0] += 1
    response = site.post(asked).response
    assert (response.certificate_status, response.revocation_time_utc) == (REVOKED, again)
    assert response.revocation_reason is x509.ReasonFlags.key_compromise


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_told(bank: World, site: Site, reason: Reason) -> None:
    held = bank.acquire(KEIRI01)
    revoke(bank, held, reason)
    expected = None if reason is Reason.UNSPECIFIED else x509.ReasonFlags(reason.value)
    assert site.post(about(bank, held)).response.revocation_reason is expected


def test_what_is_not_stored_is_never_good(bank: World, site: Site, ca: Counted) -> None:
    issuer = bank.made.issuing[Kind.USER].certificate
    for serial in (1, (1 << 128) - 1, 1 << 150, bank.acquire(ADMINISTRATOR).serial):
        reply = site.post(question(issuer, serial))
        assert status(reply) is UNKNOWN
        assert reply.headers["cache-control"] == "no-store"
        by_its_issuer(bank, reply, Kind.USER)
    # An order whose certificate was signed and not stored.
    csr, ports = new_csr(), bank.ports
    signed = ca.ca.sign_all

    def sign_and_be_gone(orders: Any) -> Any:
        signed(orders)
        raise CaAway

    bank.ports = replace(ports, cas={BANK.code: type("Gone", (), {"sign_all": staticmethod(sign_and_be_gone)})()})
    with pytest.raises(CaAway):
        bank.acquire(KEIRI01, csr)
    bank.ports = ports
    (order,) = bank.rows("SELECT serial FROM orders JOIN unfinished_orders ON order_id = id")
    assert status(site.post(question(issuer, int(order.serial, 16)))) is UNKNOWN
    held = bank.acquire(KEIRI01, csr)
    assert held.serial == int(order.serial, 16)
    assert status(site.post(question(issuer, held.serial))) is GOOD, "what was unknown is not kept"


def test_who_is_no_issuer_of_this_bank_is_not_spoken_for(bank: World, site: Site, ca: Counted) -> None:
    held = bank.acquire(KEIRI01)
    root = bank.made.root.certificate
    assert failure(site.post(question(root, held.serial))) is OCSPResponseStatus.UNAUTHORIZED
    assert ca.answers == 0


def test_serial_numbers_that_are_made_up_cost_a_bounded_number_of_signatures(
    bank: World, site: Site, ca: Counted
) -> None:
    held = bank.acquire(KEIRI01)
    issuer = bank.made.issuing[Kind.USER].certificate
    made_up = [question(issuer, int.from_bytes(os.urandom(16)) | 1) for _ in range(300)]
    replies = site.all([("POST", "/ocsp", {}, one) for one in [*made_up, about(bank, held)]])
    assert status(replies.pop()) is GOOD
    told = [reply.response.response_status for reply in replies]
    assert set(told) == {OCSPResponseStatus.SUCCESSFUL, OCSPResponseStatus.TRY_LATER}
    assert told.count(OCSPResponseStatus.SUCCESSFUL) <= 50
    assert ca.answers <= 51
    site.clock[0] += 1
    assert status(site.post(made_up[-1])) is UNKNOWN, "and there are more a second later"


def test_many_who_ask_at_once_share_one_signature_and_one_question_to_the_ca(
    bank: World, site: Site, ca: Counted
) -> None:
    first, second = bank.acquire(KEIRI01), bank.acquire(KEIRI02)
    requests: Any = [("POST", "/ocsp", {}, about(bank, one)) for one in (first, second)] * 100
    bodies = [reply.body for reply in site.all(requests)]
    assert len(set(bodies)) == 2
    assert ca.answers == 2
    assert ca.questions <= 2
    assert [reply.body for reply in site.all(requests)] == bodies
    assert ca.answers == 2, "and then it is at hand"


def test_no_node_tells_what_was_so_more_than_a_second_ago(bank: World, site: Site, ca: Counted) -> None:
    other = Site(bank, clock=[5.0])
    try:
        held = bank.acquire(KEIRI01)
        asked = about(bank, held)
        assert [status(one.post(asked)) for one in (site, other)] == [GOOD, GOOD]
        revoke(bank, held)
        for one in (site, other):
            one.clock[0] += 0.99
            assert status(one.post(asked)) is GOOD, "kept, and looked at less than a second ago"
            one.clock[0] += 0.01
            assert status(one.post(asked)) is REVOKED
            assert status(one.get(asked)) is REVOKED
        assert ca.answers == 4
    finally:
        other.close()


def test_a_revocation_that_commits_late_is_seen_by_the_next_look(bank: World, site: Site) -> None:
    held = bank.acquire(KEIRI01)
    asked = about(bank, held)
    assert status(site.post(asked)) is GOOD
    bank.later(minutes=5)
    site.clock[0] += 1
    assert status(site.post(asked)) is GOOD
    bank.later(minutes=-4)  # as if its moment had been read long before it committed
    revoke(bank, held)
    bank.later(minutes=4)
    site.clock[0] += 1
    assert status(site.post(asked)) is REVOKED


def test_what_changed_while_nobody_asked_is_seen(bank: World, site: Site) -> None:
    held = bank.acquire(KEIRI01)
    asked = about(bank, held)
    assert status(site.post(asked)) is GOOD
    bank.later(minutes=1)
    revoke(bank, held)
    bank.later(minutes=25)
    site.clock[0] += 25 * 60
    assert status(site.post(asked)) is REVOKED


def test_an_answer_is_made_anew_long_before_its_end(bank: World, site: Site, ca: Counted) -> None:
    held = bank.acquire(KEIRI01)
    asked = about(bank, held)
    site.post(asked)
    for minutes in (29, 2):
        bank.later(minutes=minutes)
        site.clock[0] += minutes * 60
        response = site.post(asked).response
        assert response.next_update_utc is not None
        assert response.next_update_utc - bank.clock[0] >= timedelta(minutes=30)
    assert ca.answers == 2


@pytest.mark.parametrize("length", [1, 32, 128])
def test_a_nonce_comes_back_in_an_answer_of_its_own(bank: World, site: Site, ca: Counted, length: int) -> None:
    held = bank.acquire(KEIRI01)
    for nonce in (os.urandom(length), os.urandom(length)):
        reply = site.post(about(bank, held, nonce=nonce))
        assert status(reply) is GOOD
        assert reply.headers["cache-control"] == "no-store"
        assert reply.response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == nonce
    assert ca.answers == 2
    revoke(bank, held)
    assert status(site.post(about(bank, held, nonce=os.urandom(length)))) is REVOKED, "it never comes from what is kept"


@pytest.mark.parametrize("length", [0, 129, 1000])
def test_a_nonce_of_another_length_is_malformed(bank: World, site: Site, ca: Counted, length: int) -> None:
    held = bank.acquire(KEIRI01)
    asked = about(bank, held, nonce=bytes(length))
    assert failure(site.post(asked)) is OCSPResponseStatus.MALFORMED_REQUEST
    assert ca.answers == 0


def test_more_nonces_than_are_answered_get_what_is_kept(bank: World, site: Site, ca: Counted) -> None:
    held = bank.acquire(KEIRI01)
    asked: Any = [("POST", "/ocsp", {}, about(bank, held, nonce=os.urandom(16))) for _ in range(600)]
    replies = site.all(asked)
    assert {status(reply) for reply in replies} == {GOOD}
    echoed = [reply for reply in replies if len(reply.response.extensions)]
    assert len(echoed) == 500
    assert ca.answers == 501


def test_a_bank_may_leave_nonces_out(bank: World) -> None:
    bank.bank = replace(BANK, policy=replace(BANK.policy, ocsp_nonce=False))
    site = Site(bank)
    try:
        held = bank.acquire(KEIRI01)
        reply = site.post(about(bank, held, nonce=b"n" * 16))
        assert status(reply) is GOOD
        assert len(reply.response.extensions) == 0
    finally:
        site.close()


def test_caches_are_told_how_long_an_answer_is_good(bank: World, site: Site) -> None:
    held = bank.acquire(KEIRI01)
    asked = about(bank, held)
    reply = site.get(asked)
    assert reply.headers["cache-control"] == "max-age=300, public, no-transform, must-revalidate"
    assert reply.headers["last-modified"] == "Tue, 24 Nov 2026 03:00:00 GMT"
    assert reply.headers["expires"] == "Tue, 24 Nov 2026 04:00:00 GMT"
    unchanged = site.get(asked, if_none_match=reply.headers["etag"])
    assert (unchanged.status, unchanged.body) == (304, b"")
    assert unchanged.headers["etag"] == reply.headers["etag"]
    revoke(bank, held)
    site.clock[0] += 1
    assert status(site.get(asked, if_none_match=reply.headers["etag"])) is REVOKED


@contextmanager
def faulty(bank: World) -> Iterator[Site]:
    """Open a site whose database is away."""

    class Away:
        def read(self) -> Any:
            raise StoreAway

    site = Site(bank, replace(bank.ports, db=Away()))  # type: ignore[arg-type]
    try:
        yield site
    finally:
        site.close()


def test_the_answer_to_a_post_says_nothing_to_caches(bank: World, site: Site) -> None:
    """None may keep it (RFC 9110 section 9.3.3 asks for more than freshness); what is shorter is sent sooner."""
    reply = site.post(about(bank, bank.acquire(KEIRI01)))
    assert reply.headers.keys() == {"content-type", "content-length"}


def test_made_up_questions_take_no_answers_place(
    bank: World, site: Site, ca: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does an answer that goes leave its question without one."""
    monkeypatch.setattr(site.responder._kept, "_most", 2)
    first, second = bank.acquire(KEIRI01), bank.acquire(KEIRI02)
    third = bank.acquire(ADMINISTRATOR)
    for held in (first, second):
        assert status(site.post(about(bank, held))) is GOOD
    signed = ca.answers
    for serial in range(1, 20):
        site.ask(Kind.USER, serial)
    assert ca.answers == signed + 19
    for held in (first, second, first):
        assert status(site.post(about(bank, held))) is GOOD
    assert ca.answers == signed + 19, "both were kept"
    assert status(site.post(about(bank, third))) is GOOD
    assert status(site.post(about(bank, first))) is GOOD
    revoke(bank, first)
    site.clock[0] += 1
    assert status(site.post(about(bank, first))) is REVOKED


def test_without_its_database_a_node_tells_nothing_that_it_kept(bank: World, site: Site) -> None:
    held = bank.acquire(KEIRI01)
    asked = about(bank, held)
    assert status(site.post(asked)) is GOOD
    with faulty(bank) as away:
        assert failure(away.post(asked)) is OCSPResponseStatus.TRY_LATER
        site.responder._ports = away.responder._ports
        site.clock[0] += 1
        assert failure(site.post(asked)) is OCSPResponseStatus.TRY_LATER
    site.responder._ports = bank.ports
    assert status(site.post(asked)) is GOOD


def test_while_the_ca_is_away_what_is_kept_is_told(bank: World, site: Site, ca: Counted) -> None:
    first, second = bank.acquire(KEIRI01), bank.acquire(KEIRI02)
    assert status(site.post(about(bank, first))) is GOOD
    ca.fault = CaAway()
    assert status(site.post(about(bank, first))) is GOOD
    assert failure(site.post(about(bank, second))) is OCSPResponseStatus.TRY_LATER
    ca.fault = RuntimeError("a bug")
    assert failure(site.post(about(bank, second))) is OCSPResponseStatus.INTERNAL_ERROR
    ca.fault = None
    assert status(site.post(about(bank, second))) is GOOD


def test_the_responder_is_another_each_day(bank: World, site: Site) -> None:
    held = bank.acquire(KEIRI01)
    serials = []
    for _ in range(3):
        reply = site.post(about(bank, held))
        serials.append(by_its_issuer(bank, reply, Kind.USER).serial_number)
        bank.later(hours=13)
        site.clock[0] += 13 * 3600
    assert len(set(serials)) == 2
    bank.later(days=-30)
    site.clock[0] += 1800
    by_its_issuer(bank, site.post(about(bank, held)), Kind.USER)


def test_each_issuing_ca_has_a_responder_of_its_own(bank: World, site: Site) -> None:
    responders = [
        by_its_issuer(bank, site.post(about(bank, bank.acquire(who))), who.kind) for who in (ADMINISTRATOR, KEIRI01)
    ]
    assert responders[0].public_key() != responders[1].public_key()
    with pytest.raises(ValueError, match=r"(?i)issuer"):
        responders[0].verify_directly_issued_by(bank.made.issuing[Kind.USER].certificate)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_no_question_is_malformed(bank: World, site: Site, ca: Counted, method: str) -> None:
    held = bank.acquire(KEIRI01)
    good = about(bank, held)
    for body in (b"", b"0", good[:-1], good + b"\x00" * 5000, os.urandom(200), os.urandom(4096), b"x" * 100_000):
        assert failure(site.post(body) if method == "POST" else site.get(body)) is OCSPResponseStatus.MALFORMED_REQUEST
    for path in ("/ocsp", "/ocsp/", "/ocsp/%", "/ocsp/MEE=", "/ocsp/関所", "/ocsp/" + "A" * 10_000):
        assert failure(site.all([("GET", path, {}, b"")])[0]) is OCSPResponseStatus.MALFORMED_REQUEST
    assert ca.answers == 0


def test_other_methods_are_not_allowed(site: Site) -> None:
    for method in ("PUT", "DELETE", "OPTIONS", "PATCH"):
        (reply,) = site.all([(method, "/ocsp", {}, b"")])
        assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD, POST")


@pytest.fixture(scope="module")
def at_rest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, bytes]]:
    from tests.support.world import world

    with world(tmp_path_factory.mktemp("at-rest")) as bank:
        site = Site(bank)
        yield site, about(bank, bank.acquire(KEIRI01), nonce=b"n" * 16)
        site.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(data=st.data())
def test_a_question_with_octets_that_were_changed_is_answered(at_rest: tuple[Site, bytes], data: st.DataObject) -> None:
    site, good = at_rest
    body = bytearray(good)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(body) - 1))
        action = data.draw(st.sampled_from(["change", "drop", "double"]))
        if action == "change":
            body[at] = data.draw(st.integers(0, 255))
        elif action == "drop" and len(body) > 1:
            del body[at : at + data.draw(st.integers(1, 8))]
            body = body or bytearray(b"0")
        else:
            body[at:at] = body[at : at + data.draw(st.integers(1, 40))]
    site.clock[0] += 1
    for reply in (site.post(bytes(body)), site.get(bytes(body))):
        assert reply.status == 200
        assert reply.response.response_status in {
            OCSPResponseStatus.SUCCESSFUL,
            OCSPResponseStatus.MALFORMED_REQUEST,
            OCSPResponseStatus.UNAUTHORIZED,
        }
