"""Issued certificates. A row's bytes never change; what changes is that it ends, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, insert, select, update

from sekisho.domain.certificate import Certificate, Ending, KeyHeld, Reason
from sekisho.domain.person import Kind, PersonId
from sekisho.pki.crl import Revoked
from sekisho.store.tables import certificates as t
from sekisho.store.tables import people

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row, Select

    from sekisho.store.orders import PlacedOrder


def _certificate(row: Row[Any]) -> Certificate:
    return Certificate(
        id=row.id,
        order_id=row.order_id,
        person=PersonId(row.bank, row.contract_id, row.user_id),
        serial=row.serial,
        fingerprint=row.fingerprint,
        der=row.der,
        not_before=row.not_before,
        not_after=row.not_after,
        held=KeyHeld(row.held),
        issued_at=row.issued_at,
        ended_at=row.ended_at,
        ending=None if row.ending is None else Ending(row.ending),
        reason=None if row.reason is None else Reason(row.reason),
        supersedes=row.supersedes,
        first_logon_at=row.first_logon_at,
    )


def _select() -> Select[Any]:
    return select(t, people.c.bank, people.c.contract_id, people.c.user_id).join(people, people.c.id == t.c.person_id)


# What every logon runs is built once: building a statement costs more than running it.
_OF_FINGERPRINT = _select().where(t.c.fingerprint == bindparam("fingerprint"))
_MARK_FIRST_LOGON = (
    update(t)
    .where(t.c.id == bindparam("certificate_id"), t.c.first_logon_at.is_(None))
    .values(first_logon_at=bindparam("now"))
)


def save_issued(tx: Connection, placed: PlacedOrder, der: bytes, fingerprint: bytes, now: datetime) -> Certificate:
    """Store what the CA signed for an order."""
    order = placed.order
    issued = tx.execute(
        insert(t)
        .values(
            order_id=placed.id,
            person_id=placed.person_id,
            kind=order.kind.value,
            serial=order.serial,
            fingerprint=fingerprint,
            der=der,
            not_before=order.not_before,
            not_after=order.not_after,
            held=placed.held.value,
            issued_at=now,
            supersedes=placed.renews_id,
        )
        .returning(t.c.id)
    ).one()
    return _certificate(tx.execute(_select().where(t.c.id == issued.id)).one())


def of_fingerprint(tx: Connection, fingerprint: bytes) -> Certificate | None:
    """Return the certificate with exactly those bytes (SHA-256), or None."""
    row = tx.execute(_OF_FINGERPRINT, {"fingerprint": fingerprint}).one_or_none()
    return None if row is None else _certificate(row)


def of_serial(tx: Connection, serial: int) -> Certificate | None:
    """Return the certificate with that serial number, or None."""
    row = tx.execute(_select().where(t.c.serial == serial)).one_or_none()
    return None if row is None else _certificate(row)


def of_order(tx: Connection, order_id: int) -> Certificate | None:
    """Return what was stored for an order, or None."""
    row = tx.execute(_select().where(t.c.order_id == order_id)).one_or_none()
    return None if row is None else _certificate(row)


def get(tx: Connection, certificate_id: int) -> Certificate:
    """Return the certificate of that row."""
    return _certificate(tx.execute(_select().where(t.c.id == certificate_id)).one())


def not_ended(tx: Connection, person_id: int) -> list[Certificate]:
    """Return the person's certificates that nothing has ended, expired ones included, the newest first."""
    rows = tx.execute(_select().where(t.c.person_id == person_id, t.c.ended_at.is_(None)).order_by(t.c.id.desc()))
    return [_certificate(row) for row in rows]


def latest(tx: Connection, person_id: int) -> Certificate | None:
    """Return the person's newest certificate, in whatever state."""
    row = tx.execute(_select().where(t.c.person_id == person_id).order_by(t.c.id.desc()).limit(1)).one_or_none()
    return None if row is None else _certificate(row)


def end(tx: Connection, certificate_id: int, *, ending: Ending, reason: Reason, now: datetime) -> bool:
    """End a certificate for good; False where it had ended already, and then nothing changes."""
    ended = tx.execute(
        update(t)
        .where(t.c.id == certificate_id, t.c.ended_at.is_(None))
        .values(ended_at=now, ending=ending.value, reason=reason.value)
    )
    return ended.rowcount == 1


def mark_first_logon(tx: Connection, certificate_id: int, now: datetime) -> bool:
    """Note the first completed logon; tell whether this one was it."""
    return tx.execute(_MARK_FIRST_LOGON, {"certificate_id": certificate_id, "now": now}).rowcount == 1


def successors(tx: Connection, certificate_id: int) -> list[Certificate]:
    """Return the certificates not ended that take this one's place at their first completed logon."""
    rows = tx.execute(_select().where(t.c.supersedes == certificate_id, t.c.ended_at.is_(None)))
    return [_certificate(row) for row in rows]


def with_overlap_over(tx: Connection, issued_before: datetime, most: int) -> list[Certificate]:
    """Return certificates not ended whose successor was issued before a moment."""
    newer = t.alias("newer")
    rows = tx.execute(
        _select()
        .join(newer, newer.c.supersedes == t.c.id)
        .where(t.c.ended_at.is_(None), newer.c.ended_at.is_(None), newer.c.issued_at <= issued_before)
        .limit(most)
    )
    return [_certificate(row) for row in rows]


def revoked_and_unexpired(tx: Connection, bank: str, kind: Kind, now: datetime) -> list[Revoked]:
    """Return what the CRL of one issuing CA lists, in the order of their ending."""
    rows = tx.execute(
        select(t.c.serial, t.c.ended_at, t.c.reason)
        .join(people, people.c.id == t.c.person_id)
        .where(people.c.bank == bank, t.c.kind == kind.value, t.c.ended_at.is_not(None), t.c.not_after > now)
        .order_by(t.c.ended_at, t.c.id)
    )
    return [Revoked(row.serial, row.ended_at.replace(microsecond=0), Reason(row.reason)) for row in rows]


def listed(
    tx: Connection, *, after: int = 0, most: int = 1000, person_ids: Sequence[int] | None = None
) -> list[Certificate]:
    """Return certificates in the order of their issue, from after a row's id on."""
    query = _select().where(t.c.id > after).order_by(t.c.id).limit(most)
    if person_ids is not None:
        query = query.where(t.c.person_id.in_(person_ids))
    return [_certificate(row) for row in tx.execute(query)]


def last_revocation(tx: Connection, bank: str, kind: Kind) -> datetime | None:
    """Return when one of the bank's certificates of a kind was last ended, or None."""
    moment: datetime | None = tx.scalar(
        select(t.c.ended_at)
        .join(people, people.c.id == t.c.person_id)
        .where(people.c.bank == bank, t.c.kind == kind.value, t.c.ended_at.is_not(None))
        .order_by(t.c.ended_at.desc())
        .limit(1)
    )
    return moment
