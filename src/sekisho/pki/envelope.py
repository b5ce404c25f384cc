"""Data that one recipient alone can read: CMS EnvelopedData (RFC 5652, section 6) with AES-256-CBC (RFC 3565)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

if TYPE_CHECKING:
    from datetime import datetime

_SHORTEST_KEY = 2048


class RecipientNotUsable(ValueError):  # noqa: N818 - names what is the case
    """Nothing can be encrypted for that certificate; the text says why."""


def encrypt_for(recipient: bytes, data: bytes, now: datetime) -> bytes:
    """Return `data` as DER EnvelopedData for a certificate in PEM. Raises `RecipientNotUsable`."""
    try:
        certificate = x509.load_pem_x509_certificate(recipient)
    except ValueError as why:
        raise RecipientNotUsable("it is no certificate in PEM") from why
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey) or key.key_size < _SHORTEST_KEY:
        raise RecipientNotUsable("its key is not RSA of 2048 bits or more")
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        raise RecipientNotUsable("it is not in force")
    return (
        pkcs7.PKCS7EnvelopeBuilder()
        .set_data(data)
        .add_recipient(certificate)
        .set_content_encryption_algorithm(AES256)
        .encrypt(Encoding.DER, [pkcs7.PKCS7Options.Binary])
    )
