"""Answers about certificates in numbers: what one responder says of every certificate is written out once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from sekisho.pki import ocsp

if TYPE_CHECKING:
    from datetime import datetime

    from sekisho.pki.ocsp import Answer, Digest, IssuerId, Status

_SIGNATURE = ec.ECDSA(hashes.SHA256())


@asn1.sequence
class _CertId:
    algorithm: asn1.TLV
    name_hash: bytes
    key_hash: bytes
    serial: int


@asn1.sequence
class _Single:
    """SingleResponse, RFC 6960 section 4.2.1."""

    asked: _CertId
    status: asn1.TLV
    this_update: asn1.GeneralizedTime
    next_update: Annotated[asn1.GeneralizedTime, asn1.Explicit(0)]


@asn1.sequence
class _Data:
    """ResponseData without extensions; the responder is named by its key."""

    responder: Annotated[bytes, asn1.Explicit(2)]
    produced_at: asn1.GeneralizedTime
    answers: list[_Single]


@asn1.sequence
class _Basic:
    """BasicOCSPResponse."""

    data: asn1.TLV
    algorithm: asn1.TLV
    signature: asn1.BitString
    certificates: Annotated[list[asn1.TLV], asn1.Explicit(0)]


@asn1.sequence
class _Bytes:
    type: x509.ObjectIdentifier
    response: bytes


@asn1.sequence
class _Response:
    """OCSPResponse."""

    status: asn1.TLV
    content: Annotated[_Bytes, asn1.Explicit(0)]


def is_plain(answer: Answer) -> bool:
    """Tell whether it is of those that are given in numbers: of nothing revoked, and without a nonce."""
    return answer.revoked is None and answer.nonce is None


class PlainAnswers:
    """What one responder signs: the octets of `ocsp.response`, in a third of the time.

    An answer about no certificate is made by `ocsp.response` and taken apart;
    in every other one serial number and dates are put in the place of those,
    and all is encoded anew.
    """

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key
        self._same: dict[tuple[Digest, Status], tuple[_Response, _Basic, _Data]] = {}

    def response(self, answer: Answer, issuer: IssuerId, now: datetime) -> bytes:
        """Return a plain answer as DER. `issuer` is how questions with the answer's digest name its issuing CA.

        Raises ValueError for any other: what is at hand says nothing of dates of revocation or nonces.
        """
        if not is_plain(answer):
            raise ValueError("no plain answer")
        whole, basic, data = self._of(answer, issuer, now)
        (said,) = data.answers
        asked = said.asked
        single = _Single(
            asked=_CertId(
                algorithm=asked.algorithm, name_hash=issuer.name_hash, key_hash=issuer.key_hash, serial=answer.serial
            ),
            status=said.status,
            this_update=asn1.GeneralizedTime(now),
            next_update=asn1.GeneralizedTime(ocsp.ends(answer, self._certificate, now)),
        )
        tbs = asn1.encode_der(_Data(responder=data.responder, produced_at=asn1.GeneralizedTime(now), answers=[single]))
        signed = _Basic(
            data=asn1.decode_der(asn1.TLV, tbs),
            algorithm=basic.algorithm,
            signature=asn1.BitString(self._key.sign(tbs, _SIGNATURE), 0),
            certificates=basic.certificates,
        )
        content = _Bytes(type=whole.content.type, response=asn1.encode_der(signed))
        return asn1.encode_der(_Response(status=whole.status, content=content))

    def _of(self, answer: Answer, issuer: IssuerId, now: datetime) -> tuple[_Response, _Basic, _Data]:
        """Return the answer about no certificate that has the same digest and status, and its parts."""
        found = self._same.get((answer.digest, answer.status))
        if found is None:
            der = ocsp.response(replace(answer, serial=1), issuer, self._certificate, self._key, now)
            whole = asn1.decode_der(_Response, der)
            data = asn1.decode_der(_Data, x509.ocsp.load_der_ocsp_response(der).tbs_response_bytes)
            found = whole, asn1.decode_der(_Basic, whole.content.response), data
            self._same[answer.digest, answer.status] = found
        return found
