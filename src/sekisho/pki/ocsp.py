"""OCSP: RFC 6960, in the lightweight profile of RFC 9919 and with nonces as RFC 9654 has them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from sekisho.domain.certificate import Reason
from sekisho.pki import profile

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

    from sekisho.domain.person import Kind

LONGEST_NONCE: Final = 128  # octets, and one at least: RFC 9654 section 2.1
LONGEST_QUESTION: Final = 4095
LONGEST_LIFE: Final = timedelta(days=1)
RESPONDER_LIFE: Final = timedelta(days=7)
_RESPONDER = "OCSP responder"


class Malformed(Exception):  # noqa: N818 - names what was found
    """What was asked is no question, or none of the profile: one certificate, and no critical extension."""


class Digest(IntEnum):
    """What names and keys of issuers are told by: RFC 9919 section 3.1.1 knows these two."""

    SHA1 = 0
    SHA256 = 1


class Status(IntEnum):
    """What is known of a certificate."""

    GOOD = 0
    REVOKED = 1
    UNKNOWN = 2


_ALGORITHMS: dict[Digest, hashes.HashAlgorithm] = {
    Digest.SHA1: hashes.SHA1(),  # noqa: S303 - it names an issuer, and protects nothing
    Digest.SHA256: hashes.SHA256(),
}
_DIGESTS = {algorithm.name: digest for digest, algorithm in _ALGORITHMS.items()}
_STATUSES = {
    Status.GOOD: ocsp.OCSPCertStatus.GOOD,
    Status.REVOKED: ocsp.OCSPCertStatus.REVOKED,
    Status.UNKNOWN: ocsp.OCSPCertStatus.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class IssuerId:
    """How questions name an issuer: digests of its name and its key."""

    digest: Digest
    name_hash: bytes
    key_hash: bytes


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a certificate by its issuer and serial number. `nonce` is None where there is none."""

    issuer: IssuerId
    serial: int
    nonce: bytes | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What is to be answered about a certificate of one issuing CA for `kind`, for how long it is good.

    `revoked` is since when and why, for a certificate that is revoked.
    """

    kind: Kind
    digest: Digest
    serial: int
    status: Status
    life: timedelta
    revoked: tuple[datetime, Reason] | None = None
    nonce: bytes | None = None
    generation: int = 1


def read_question(der: bytes) -> Question:
    """Read an OCSPRequest. Raises `Malformed`."""
    try:
        request = ocsp.load_der_ocsp_request(der)
        digest = _DIGESTS.get(request.hash_algorithm.name)
        issuer = (request.issuer_name_hash, request.issuer_key_hash)
        serial, extensions = request.serial_number, request.extensions
    except (ValueError, NotImplementedError, UnsupportedAlgorithm, x509.DuplicateExtension) as unreadable:
        raise Malformed("not one question") from unreadable
    if digest is None:
        raise Malformed("a digest that is not known")
    nonce = None
    for extension in extensions:
        if isinstance(extension.value, x509.OCSPNonce):
            nonce = extension.value.nonce
        elif extension.critical:
            raise Malformed("a critical extension")
    if nonce is not None and not 0 < len(nonce) <= LONGEST_NONCE:
        raise Malformed("a nonce of no allowed length")
    return Question(IssuerId(digest, *issuer), serial, nonce)


def issuer_ids(issuer: x509.Certificate) -> dict[Digest, IssuerId]:
    """Return how questions may name an issuing CA."""
    ids = {}
    for digest, algorithm in _ALGORITHMS.items():
        name = hashes.Hash(algorithm)
        name.update(issuer.subject.public_bytes())
        # The builder takes the name of whoever issued the first of the two, and the key of the second.
        asked = ocsp.OCSPRequestBuilder().add_certificate(issuer, issuer, algorithm).build()
        ids[digest] = IssuerId(digest, name.finalize(), asked.issuer_key_hash)
    return ids


def responder(
    bank: profile.BankName,
    kind: Kind,
    key: ec.EllipticCurvePublicKey,
    *,
    issuer: x509.Certificate,
    serial: int,
    now: datetime,
) -> x509.CertificateBuilder:
    """Return the certificate of an issuing CA's responder, to be signed by that issuing CA (RFC 6960 section 4.2.2.2).

    It speaks for that CA alone: clients accept a responder only from the
    very CA that issued what is asked about. Nobody has to ask whether it is
    revoked (section 4.2.2.2.1), since it lives for days. Its name lies in
    the subtree of its kind, where the issuing CA's name constraints are.
    """
    key_id = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    usage = profile.key_usage(signs=False)
    return (
        x509.CertificateBuilder()
        .subject_name(profile.subject(bank, kind, _RESPONDER))
        .issuer_name(issuer.subject)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(now - profile.BACKDATE)
        .not_valid_after(min(now + RESPONDER_LIFE, issuer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), critical=False)
        .add_extension(x509.OCSPNoCheck(), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id), critical=False)
    )


def check(answer: Answer) -> None:
    """Raise ValueError unless the answer is one that is given."""
    if not timedelta(0) < answer.life <= LONGEST_LIFE or answer.life.microseconds:
        raise ValueError("length of life")
    if answer.serial < 0:
        raise ValueError("serial number")
    if (answer.revoked is not None) is not (answer.status is Status.REVOKED):
        raise ValueError("a revocation without its date, or a date without one")
    if answer.nonce is not None and not 0 < len(answer.nonce) <= LONGEST_NONCE:
        raise ValueError("a nonce of no allowed length")


def ends(answer: Answer, certificate: x509.Certificate, now: datetime) -> datetime:
    """Return until when the answer is good, which is not longer than its responder's certificate."""
    return min(now + answer.life, certificate.not_valid_after_utc)


def response(
    answer: Answer, issuer: IssuerId, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, now: datetime
) -> bytes:
    """Return the answer as DER, signed by the responder with this certificate and key. `now` is in whole seconds."""
    since, reason = (None, None) if answer.revoked is None else answer.revoked
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response_by_hash(
            issuer.name_hash,
            issuer.key_hash,
            answer.serial,
            _ALGORITHMS[answer.digest],
            _STATUSES[answer.status],
            now,
            ends(answer, certificate, now),
            # No answer names a moment after its own, whatever a clock that was ahead had written.
            None if since is None else min(since, now),
            # An absent reason means unspecified (RFC 5280 section 5.3.1).
            None if reason in {None, Reason.UNSPECIFIED} else x509.ReasonFlags(reason),
        )
        .certificates([certificate])
        .responder_id(ocsp.OCSPResponderEncoding.HASH, certificate)
    )
    if answer.nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(answer.nonce), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def dates_of(der: bytes) -> tuple[datetime, datetime]:
    """Return thisUpdate and nextUpdate of an answer that was just signed."""
    read = ocsp.load_der_ocsp_response(der)
    if read.next_update_utc is None:
        raise ValueError("an answer without an end")
    return read.this_update_utc, read.next_update_utc


def _unsuccessful(status: ocsp.OCSPResponseStatus) -> bytes:
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)


# Answers that nobody signs (RFC 6960 section 2.3).
MALFORMED_REQUEST: Final = _unsuccessful(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
INTERNAL_ERROR: Final = _unsuccessful(ocsp.OCSPResponseStatus.INTERNAL_ERROR)
TRY_LATER: Final = _unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
UNAUTHORIZED: Final = _unsuccessful(ocsp.OCSPResponseStatus.UNAUTHORIZED)
