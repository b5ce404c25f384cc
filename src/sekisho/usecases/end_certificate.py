"""End a certificate for good, with every session that it opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.certificate import Reason
from sekisho.store import audit, certificates, crl_entries, sessions

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.certificate import Certificate, Ending
    from sekisho.store.audit import Actor


def end_certificate(
    tx: Connection,
    certificate: Certificate,
    *,
    ending: Ending,
    reason: Reason,
    actor: Actor,
    now: datetime,
    at: datetime | None = None,
) -> bool:
    """End it in `tx` with its audit row; False where something had ended it before, and then nothing changes.

    `at` is when it ended, where that was before `now` and had been forgotten.

    One that was suspended counts as revoked since then (X.509 section 8.5.2.2), with the reason of its end.
    """
    if reason is Reason.CERTIFICATE_HOLD:
        raise ValueError("a hold is no end")
    since = certificates.end(tx, certificate.id, ending=ending, reason=reason, now=at or now)
    if since is None:
        return False
    crl_entries.put(tx, certificate, (since, reason), now)
    ended = sessions.end_of_certificate(tx, certificate.id, now)
    audit.add(
        tx,
        f"certificate-{ending.value}",
        actor,
        at=now,
        who=certificate.person,
        serial=certificate.serial,
        reason=reason.value,
        sessions_ended=ended,
    )
    return True
