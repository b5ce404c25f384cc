"""Suspend a certificate (certificateHold in RFC 5280): it counts at no door until that is lifted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.certificate import Reason
from sekisho.store import audit, certificates, crl_entries, sessions

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.certificate import Certificate
    from sekisho.store.audit import Actor


def suspend_certificate(tx: Connection, certificate: Certificate, *, actor: Actor, now: datetime) -> bool:
    """Suspend it in `tx`, with the sessions that it opened and its audit row.

    False where it is suspended already or has ended, and then nothing
    changes. Whoever asks holds its person, so that no logon slips past.
    """
    if not certificates.suspend(tx, certificate.id, now):
        return False
    crl_entries.put(tx, certificate, (now, Reason.CERTIFICATE_HOLD), now)
    ended = sessions.end_of_certificate(tx, certificate.id, now)
    audit.add(
        tx,
        "certificate-suspended",
        actor,
        at=now,
        who=certificate.person,
        serial=certificate.serial,
        sessions_ended=ended,
    )
    return True
