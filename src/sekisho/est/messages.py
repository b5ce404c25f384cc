"""The bodies and headers of EST: RFC 7030 sections 3.2.3 and 4, RFC 8951 section 3."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from starlette.responses import Response

from sekisho.domain.errors import CsrNotAccepted, NotAccepted

if TYPE_CHECKING:
    from cryptography import x509

CSR_ATTRIBUTES = "application/csrattrs"
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
    except ValueError as unreadable:  # no base64, no ASCII, no UTF-8: all of them are ValueErrors
        raise NotAccepted from unreadable
    if not colon:
        raise NotAccepted
    contract_id, slash, user_id = name.partition("/")
    return Credentials(contract_id, user_id if slash else None, password)


def read_body(body: bytes) -> bytes:
    """Return the request in a body: base64 without armour as EST says, and DER or PEM as some clients send."""
    if body.startswith(b"\x30"):
        return body  # whole: the last octet of a signature may look like a blank
    stripped = body.strip()
    if stripped.startswith(b"-----BEGIN"):
        return stripped
    try:
        return base64.b64decode(b"".join(stripped.split()), validate=True)
    except ValueError as unreadable:
        raise CsrNotAccepted from unreadable


def certificates_der(certificates: list[x509.Certificate]) -> bytes:
    """Return certificates as a degenerate PKCS #7 (RFC 7030 section 4.1.3)."""
    return pkcs7.serialize_certificates(certificates, Encoding.DER)


def in_base64(der: bytes, media_type: str, *, in_lines: bool) -> Response:
    """Return DER as EST sends it, in lines of 76 characters or in one.

    A receiver should take both (RFC 8951 section 3.1), and yet `openssl
    base64 -d` takes lines alone and strongSwan only one. The header is for
    clients that know RFC 7030 alone and give up without it; others do not
    look at it (RFC 8951 section 3).
    """
    encoded = base64.encodebytes(der) if in_lines else base64.b64encode(der)
    return Response(encoded, media_type=media_type, headers={"content-transfer-encoding": "base64"})
