"""Decide by its exact bytes whether the certificate at a door counts."""

from __future__ import annotations

import hashlib
from datetime import timedelta
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

_A_MOMENT = timedelta(microseconds=1)


def show_certificate(
    tx: Connection,
    der: bytes | None,
    *,
    bank: str,
    kind: Kind,
    now: datetime,
    secret: SecretName = SecretName.PIN,
    grace: timedelta = timedelta(0),
) -> AtDoor:
    """Return our certificate for what the handshake showed, its person and their `secret`, or raise what fits.

    The handshake has proved that the visitor holds the key. Nothing that
    stands inside the certificate is believed: only its SHA-256 is looked up.
    For so long after its end as `grace` says it counts as if it had not come.
    """
    if der is None:
        raise CertificateMissing
    visitor = doors.of_fingerprint(tx, hashlib.sha256(der).digest(), secret)
    return judge_shown(visitor, bank=bank, kind=kind, now=now, grace=grace)


def judge_shown(
    visitor: AtDoor | None, *, bank: str, kind: Kind, now: datetime, grace: timedelta = timedelta(0)
) -> AtDoor:
    """Return what was found for a certificate where it counts, or raise what fits; None was found for a stranger's."""
    if visitor is None:
        raise CertificateUnknown
    end = visitor.certificate.not_after
    in_grace = end <= now < end + grace
    admit(visitor.certificate, bank=bank, kind=kind, now=end - _A_MOMENT if in_grace else now)
    return visitor
