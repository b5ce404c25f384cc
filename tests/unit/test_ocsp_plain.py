"""The fast way to answer about certificates says what the plain one does, octet for octet but for when."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.ocsp import OCSPResponse, OCSPResponseStatus, load_der_ocsp_response
from tests.support.authority import BANK, NOW, PKI_URL, new_hierarchy

from sekisho.ca.signer import Signer
from sekisho.domain.certificate import Reason
from sekisho.domain.person import Kind
from sekisho.pki import hierarchy, ocsp
from sekisho.pki.ocsp import Answer, Digest, Status
from sekisho.pki.ocsp_plain import PlainAnswers, is_plain
from sekisho.pki.profile import ProfileBroken

MADE = new_hierarchy()
PAIR = MADE.issuing[Kind.USER]
KEY = ec.generate_private_key(ec.SECP256R1())
CERTIFICATE = ocsp.responder(
    BANK, Kind.USER, KEY.public_key(), issuer=PAIR.certificate, serial=hierarchy.serial_number(NOW, os.urandom), now=NOW
).sign(PAIR.key, hashes.SHA256())
IDS = ocsp.issuer_ids(PAIR.certificate)


def answer(serial: int = 1 << 100, status: Status = Status.GOOD, digest: Digest = Digest.SHA1) -> Answer:
    return Answer(Kind.USER, digest, serial, status, timedelta(hours=1))


def read(der: bytes) -> OCSPResponse:
    response = load_der_ocsp_response(der)
    assert response.response_status is OCSPResponseStatus.SUCCESSFUL
    KEY.public_key().verify(response.signature, response.tbs_response_bytes, ec.ECDSA(hashes.SHA256()))
    return response


@pytest.mark.parametrize("status", [Status.GOOD, Status.UNKNOWN])
@pytest.mark.parametrize("digest", Digest)
def test_the_same_octets(status: Status, digest: Digest) -> None:
    answers = PlainAnswers(CERTIFICATE, KEY)
    for serial in (1, 0x7F, 0x80, 1 << 127, (1 << 128) - 1):
        asked = answer(serial, status, digest)
        plain = ocsp.response(asked, IDS[digest], CERTIFICATE, KEY, NOW)
        # The library writes when it made an answer by the machine's clock, ours by the CA's own.
        produced = read(plain).produced_at_utc
        fast = answers.response(asked, IDS[digest], NOW)
        tbs = read(fast).tbs_response_bytes
        assert read(fast).produced_at_utc == NOW
        assert tbs.replace(written(NOW), written(produced), 1) == read(plain).tbs_response_bytes
        assert read(fast).certificates == [CERTIFICATE]
        assert len(fast) - len(read(fast).signature) == len(plain) - len(read(plain).signature)


def test_no_answer_is_good_for_longer_than_its_responder() -> None:
    late = CERTIFICATE.not_valid_after_utc - timedelta(minutes=5)
    read_late = read(PlainAnswers(CERTIFICATE, KEY).response(answer(), IDS[Digest.SHA1], late))
    assert read_late.next_update_utc == CERTIFICATE.not_valid_after_utc


def test_what_has_a_nonce_or_tells_of_a_revocation_is_answered_in_full() -> None:
    assert is_plain(answer())
    revoked = replace(answer(), status=Status.REVOKED, revoked=(NOW, Reason.KEY_COMPROMISE))
    with_nonce = replace(answer(), nonce=b"n" * 32)
    assert not is_plain(revoked)
    assert not is_plain(with_nonce)
    signer = Signer(BANK, MADE.cas, PKI_URL, now=lambda: NOW)
    first, second, third = (
        load_der_ocsp_response(one)
        for one in signer.answer_all([answer(), revoked, with_nonce])
        if isinstance(one, bytes)
    )
    assert len(first.extensions) == 0
    assert second.revocation_time_utc == NOW
    assert len(third.extensions) == 1


def test_only_a_plain_answer_is_made_of_what_is_at_hand() -> None:
    answers = PlainAnswers(CERTIFICATE, KEY)
    revoked = replace(answer(), status=Status.REVOKED, revoked=(NOW, Reason.KEY_COMPROMISE))
    for other in (revoked, replace(answer(), nonce=b"n" * 32)):
        with pytest.raises(ValueError, match="plain"):
            answers.response(other, IDS[Digest.SHA1], NOW)


@pytest.mark.parametrize(
    "wrong",
    [
        {"serial": -5},
        {"life": timedelta(hours=1, microseconds=1)},
        {"life": timedelta(0)},
    ],
)
def test_what_no_answer_may_say_is_refused(wrong: dict[str, Any]) -> None:
    signer = Signer(BANK, MADE.cas, PKI_URL, now=lambda: NOW)
    for asked in (answer(), replace(answer(), nonce=b"n")):
        (outcome,) = signer.answer_all([replace(asked, **wrong)])
        assert isinstance(outcome, ValueError)


def test_an_issuing_ca_whose_time_is_over_answers_no_more() -> None:
    clock = [PAIR.certificate.not_valid_after_utc - timedelta(hours=5)]
    signer = Signer(BANK, MADE.cas, PKI_URL, now=lambda: clock[0])
    (before,) = signer.answer_all([answer()])
    assert isinstance(before, bytes)
    clock[0] += timedelta(hours=5)
    (after,) = signer.answer_all([answer()])
    assert isinstance(after, ProfileBroken)


def written(at: datetime) -> bytes:
    return b"\x18\x0f" + at.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").encode()
