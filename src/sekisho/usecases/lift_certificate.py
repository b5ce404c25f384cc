"""Lift the suspension of a certificate: it counts again, and revocation lists leave it out (RFC 5280 section 5.3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.certificate import ended_as
from sekisho.store import audit, certificates, crl_entries, notices, successors
from sekisho.usecases.find_certificate import hold_certificate

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.certificate import Certificate
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports


def lift_certificate(ports: Ports, *, serial: int, actor: Actor) -> Certificate:
    """Lift by serial number and return the certificate as it stands then.

    A renewal that was suspended together with it is lifted with it. One that
    is not suspended stays as it is, so that repeating changes nothing.
    Raises `CertificateUnknown`, and for one that has ended the refusal that
    tells how.
    """
    now = ports.now()

    def lift(tx: Connection) -> Certificate:
        certificate, person = hold_certificate(tx, serial)
        if certificate.ending is not None:
            raise ended_as(certificate.ending)
        together = [one for one in successors.of(tx, [certificate.id]) if one.suspended_at == certificate.suspended_at]
        lifted = [lift_suspension(tx, one, actor=actor, now=now) for one in (certificate, *together)]
        if any(lifted):
            notices.add(tx, person.id, "certificate-lifted", now, user_id=certificate.person.user_id)
        return certificates.get(tx, certificate.id)

    return ports.db.write(lift)


def lift_suspension(
    tx: Connection, certificate: Certificate, *, actor: Actor, now: datetime, suspended_by: datetime | None = None
) -> bool:
    """Lift it in `tx` with its audit row, with `suspended_by` one that began by that moment.

    False where there is nothing to lift, and then nothing changes.
    """
    if not certificates.lift(tx, certificate.id, now, suspended_by=suspended_by):
        return False
    crl_entries.put(tx, certificate, None, now)
    audit.add(tx, "certificate-lifted", actor, at=now, who=certificate.person, serial=certificate.serial)
    return True
