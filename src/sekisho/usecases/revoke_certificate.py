"""The bank revokes a certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.certificate import Ending, Reason
from sekisho.store import certificates, notices, orders, successors
from sekisho.usecases.end_certificate import end_certificate
from sekisho.usecases.find_certificate import hold_certificate
from sekisho.usecases.journal_endings import journal_at_once
from sekisho.usecases.suspend_certificate import suspend_with_successor

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.certificate import Certificate
    from sekisho.domain.contract import Person
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports


def revoke_certificate(ports: Ports, *, serial: int, reason: Reason, actor: Actor) -> Certificate:
    """Revoke by serial number and return the certificate as it stands then. Raises `CertificateUnknown`.

    With `certificateHold` it is suspended, which can be lifted. Any other
    reason ends it for good, one that is suspended as well. What is to take
    its place shares its fate, except where `superseded` says that it does
    take it. One that has ended stays as it ended, so that repeating changes
    nothing.
    """
    now = ports.now()

    def revoke(tx: Connection) -> Certificate:
        certificate, person = hold_certificate(tx, serial)
        if reason is Reason.CERTIFICATE_HOLD:
            changed = suspend_with_successor(tx, person, certificate, actor=actor, now=now)
            told = "certificate-suspended"
        else:
            changed, told = _end(tx, person, certificate, reason, actor, now), "certificate-revoked"
        if changed:
            notices.add(tx, person.id, told, now, user_id=certificate.person.user_id)
        return certificates.get(tx, certificate.id)

    revoked = ports.db.write(revoke)
    journal_at_once(ports, bank=revoked.person.bank)
    return revoked


def _end(tx: Connection, person: Person, certificate: Certificate, reason: Reason, actor: Actor, now: datetime) -> bool:
    """End a certificate, and the renewal of it that was not used yet or is under way; False where it had ended."""
    if certificate.ended_at is not None:
        return False
    ends = [certificate]
    if reason is not Reason.SUPERSEDED:
        orders.void_unfinished(tx, [person.id], now)
        ends += successors.of(tx, [certificate.id])
    for one in ends:
        end_certificate(tx, one, ending=Ending.REVOKED, reason=reason, actor=actor, now=now)
    return True
