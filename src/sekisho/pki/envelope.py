"""Data that one recipient alone can read: CMS EnvelopedData (RFC 5652, section 6) with AES-256-CBC (RFC 3565)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

if TYPE_CHECKING:
    from datetime import datetime

_SHORTEST_KEY = 2048


class RecipientNotUsable(ValueError):  # noqa: N818 - names what is the case
    """Nothing can be encrypted for that certificate; the text says why."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom something is encrypted for, as people tell them apart."""

    name: str
    sha256: bytes
    not_before: datetime
    not_after: datetime

    def in_force(self, now: datetime) -> bool:
        """Tell whether something can be encrypted for them now."""
        return self.not_before <= now < self.not_after


def read_recipient(certificate: bytes) -> tuple[Recipient, bytes]:
    """Return whose certificate (PEM) it is, and the certificate alone, in PEM. Raises `RecipientNotUsable`."""
    read = _read(certificate)
    name = read.subject.rfc4514_string()
    recipient = Recipient(name, read.fingerprint(hashes.SHA256()), read.not_valid_before_utc, read.not_valid_after_utc)
    return recipient, read.public_bytes(Encoding.PEM)


def _read(recipient: bytes) -> x509.Certificate:
    try:
        certificate = x509.load_pem_x509_certificate(recipient)
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as why:
        raise RecipientNotUsable("it is no certificate in PEM") from why
    if not isinstance(key, RSAPublicKey) or key.key_size < _SHORTEST_KEY:
        raise RecipientNotUsable("its key is not RSA of 2048 bits or more")
    return certificate


def encrypt_for(recipient: bytes, data: bytes, now: datetime) -> bytes:
    """Return `data` as DER EnvelopedData for a certificate in PEM. Raises `RecipientNotUsable`."""
    certificate = _read(recipient)
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        raise RecipientNotUsable("it is not in force")
    return (
        pkcs7.PKCS7EnvelopeBuilder()
        .set_data(data)
        .add_recipient(certificate)
        .set_content_encryption_algorithm(AES256)
        .encrypt(Encoding.DER, [pkcs7.PKCS7Options.Binary])
    )
