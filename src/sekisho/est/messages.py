"""The bodies and headers of EST: RFC 7030 sections 3.2.3 and 4, RFC 8951 section 3."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from starlette.responses import Response

from sekisho.domain.errors import CsrNotAccepted, NotAccepted

CERTIFICATES = "application/pkcs7-mime; smime-type=certs-only"


@dataclass(frozen=True, slots=True)
class Credentials:
    """HTTP Basic, RFC 7617: `<contract ID>/<user ID>` or `<contract ID>`, and whatever stands after the colon."""

    contract_id: str
    user_id: str | None
    password: str


def read_credentials(header: str | None) -> Credentials | None:
    """Return what an Authorization header holds, or None where there is none. Raises `NotAccepted`."""
    if header is None:
        return None
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as unreadable:
        raise NotAccepted from unreadable
    if not colon:
        raise NotAccepted
    contract_id, slash, user_id = name.partition("/")
    return Credentials(contract_id, user_id if slash else None, password)


def read_body(body: bytes) -> bytes:
    """Return the request in a body: base64 without armour as EST says, and DER or PEM as some clients send."""
    stripped = body.strip()
    if stripped.startswith((b"\x30", b"-----BEGIN")):
        return stripped
    try:
        return base64.b64decode(b"".join(stripped.split()), validate=True)
    except (binascii.Error, ValueError) as unreadable:
        raise CsrNotAccepted from unreadable


def certificates_response(certificates: list[x509.Certificate]) -> Response:
    """Return certificates as a degenerate PKCS #7 in base64 (RFC 7030 section 4.1.3)."""
    der = pkcs7.serialize_certificates(certificates, Encoding.DER)
    return Response(base64.encodebytes(der), media_type=CERTIFICATES)


@asn1.sequence
class _Attribute:
    """Attribute of RFC 7030 section 4.5.2: here id-ecPublicKey, whose value is a curve."""

    type: x509.ObjectIdentifier
    values: asn1.SetOf[x509.ObjectIdentifier]


@asn1.sequence
class _CsrAttrs:
    """CsrAttrs, a SEQUENCE OF which we send one."""

    key: _Attribute


_EC_PUBLIC_KEY = x509.ObjectIdentifier("1.2.840.10045.2.1")
_P256 = x509.ObjectIdentifier("1.2.840.10045.3.1.7")


def csr_attributes() -> bytes:
    """Return the DER CsrAttrs that asks for a P-256 key: clients that make what is asked for make that."""
    return asn1.encode_der(_CsrAttrs(key=_Attribute(type=_EC_PUBLIC_KEY, values=asn1.SetOf([_P256]))))
