"""The bank revokes a certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.certificate import Ending
from sekisho.domain.errors import CertificateUnknown
from sekisho.store import certificates, notices, people
from sekisho.usecases.end_certificate import end_certificate

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sekisho.domain.certificate import Certificate, Reason
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports


def revoke_certificate(ports: Ports, *, serial: int, reason: Reason, actor: Actor) -> Certificate:
    """Revoke by serial number and return the certificate as it stands then. Raises `CertificateUnknown`.

    One that has ended stays as it ended, so that repeating changes nothing.
    """
    now = ports.now()

    def revoke(tx: Connection) -> Certificate:
        certificate = certificates.of_serial(tx, serial)
        if certificate is None:
            raise CertificateUnknown
        if end_certificate(tx, certificate, ending=Ending.REVOKED, reason=reason, actor=actor, now=now):
            person = people.find(tx, certificate.person)
            if person is not None:
                notices.add(tx, person.id, "certificate-revoked", now, user_id=certificate.person.user_id)
        return certificates.get(tx, certificate.id)

    return ports.db.write(revoke)
