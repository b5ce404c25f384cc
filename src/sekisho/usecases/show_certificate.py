"""Decide by its exact bytes whether the certificate at a door counts."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sekisho.domain.certificate import admit
from sekisho.domain.errors import CertificateMissing, CertificateUnknown
from sekisho.domain.secret import SecretName
from sekisho.store import doors

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.person import Kind
    from sekisho.store.doors import AtDoor


def show_certificate(
    tx: Connection,
    der: bytes | None,
    *,
    bank: str,
    kind: Kind,
    now: datetime,
    secret: SecretName = SecretName.PIN,
) -> AtDoor:
    """Return our certificate for what the handshake showed, its person and their `secret`, or raise what fits.

    The handshake has proved that the visitor holds the key. Nothing that
    stands inside the certificate is believed: only its SHA-256 is looked up.
    """
    if der is None:
        raise CertificateMissing
    visitor = doors.of_fingerprint(tx, hashlib.sha256(der).digest(), secret)
    if visitor is None:
        raise CertificateUnknown
    admit(visitor.certificate, bank=bank, kind=kind, now=now)
    return visitor
