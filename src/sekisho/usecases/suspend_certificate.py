"""Suspend a certificate (certificateHold in RFC 5280): it counts at no door until that is lifted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.certificate import Reason
from sekisho.store import audit, certificates, crl_entries, orders, sessions, successors

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.certificate import Certificate
    from sekisho.domain.contract import Person
    from sekisho.store.audit import Actor


def suspend_with_successor(
    tx: Connection, person: Person, certificate: Certificate, *, actor: Actor, now: datetime
) -> bool:
    """Suspend a certificate of a person whom `tx` holds, and with it what is to take its place.

    A renewal that was not used yet lies on the same computer, and opens the
    door as this one does; an order whose certificate is not stored yet would
    be in force a moment later. False where all of it is suspended already, or
    this one has ended, and then nothing changes.
    """
    if certificate.ended_at is not None:
        return False
    orders.void_unfinished(tx, [person.id], now)
    all_of_it = [certificate, *successors.of(tx, [certificate.id])]
    suspended = [suspend_certificate(tx, one, actor=actor, now=now) for one in all_of_it]
    return any(suspended)


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
