"""Decide by its exact bytes whether the certificate at a door counts."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sekisho.domain.certificate import Certificate, admit
from sekisho.domain.errors import CertificateMissing, CertificateUnknown
from sekisho.store import certificates

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.person import Kind


def show_certificate(tx: Connection, der: bytes | None, *, bank: str, kind: Kind, now: datetime) -> Certificate:
    """Return our certificate for what the handshake showed, or raise the refusal that fits.

    The handshake has proved that the visitor holds the key. Nothing that
    stands inside the certificate is believed: only its SHA-256 is looked up.
    """
    if der is None:
        raise CertificateMissing
    certificate = certificates.of_fingerprint(tx, hashlib.sha256(der).digest())
    if certificate is None:
        raise CertificateUnknown
    admit(certificate, bank=bank, kind=kind, now=now)
    return certificate
