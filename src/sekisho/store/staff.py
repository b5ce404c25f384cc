"""The bank's own people: who they are, their roles, their certificates and their PIN's count of misses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from sekisho.domain.errors import StaffIdTaken
from sekisho.domain.staff import Grant, Role, Staff
from sekisho.store.tables import staff as t
from sekisho.store.tables import staff_certificates, staff_roles

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Row


@dataclass(frozen=True, slots=True)
class StaffCertificate:
    """A certificate for the console; `serial` is a number of at most 128 bits, `der` its bytes."""

    serial: int
    fingerprint: bytes
    der: bytes
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class AtConsole:
    """Whose certificate was shown, how that certificate stands, and what a PIN is checked against."""

    staff: Staff
    certificate_id: int
    serial: int
    not_before: datetime
    not_after: datetime
    certificate_ended_at: datetime | None
    verifier: str
    misses: int


def add(
    tx: Connection, bank: str, staff_id: str, *, name: str, branch: str | None, verifier: str, now: datetime
) -> int:
    """Register one of the bank's people and return their row. Raises `StaffIdTaken`."""
    values = {
        "bank": bank,
        "staff_id": staff_id,
        "staff_key": staff_id.lower(),
        "name": name,
        "branch": branch,
        "registered_at": now,
        "verifier": verifier,
        "pin_set_at": now,
    }
    try:
        row = tx.execute(insert(t).values(values).returning(t.c.id)).one()
    except IntegrityError as clash:
        if "staff_key" in str(clash.orig):
            raise StaffIdTaken from clash
        raise
    staff_row: int = row.id
    return staff_row


def find(tx: Connection, bank: str, staff_id: str) -> Staff | None:
    """Return the one of that staff ID, compared without regard to case, ended or not, or None."""
    row = tx.execute(select(t).where(t.c.bank == bank, t.c.staff_key == staff_id.lower())).one_or_none()
    return None if row is None else _staff(row, _grants(tx, row.id))


def get(tx: Connection, staff_row: int) -> Staff:
    """Return the one of that row."""
    return _staff(tx.execute(select(t).where(t.c.id == staff_row)).one(), _grants(tx, staff_row))


def listed(tx: Connection, bank: str, *, after: int = 0, most: int = 1000) -> list[Staff]:
    """Return everybody of the bank, who ended included, in the order of registration, from after a row on."""
    rows = tx.execute(select(t).where(t.c.bank == bank, t.c.id > after).order_by(t.c.id).limit(most)).all()
    return [_staff(row, _grants(tx, row.id)) for row in rows]


def lock(tx: Connection, staff_row: int) -> None:
    """Keep others from deciding about them until the end of `tx`; SQLite has one writer and needs no lock."""
    if tx.dialect.name == "postgresql":
        tx.execute(select(t.c.id).where(t.c.id == staff_row).with_for_update(key_share=True))


def add_certificate(tx: Connection, staff_row: int, certificate: StaffCertificate, now: datetime) -> None:
    """Store a certificate."""
    tx.execute(
        insert(staff_certificates).values(
            holder_id=staff_row,
            serial=certificate.serial,
            fingerprint=certificate.fingerprint,
            der=certificate.der,
            not_before=certificate.not_before,
            not_after=certificate.not_after,
            issued_at=now,
        )
    )


def end_certificates(tx: Connection, staff_row: int, now: datetime) -> int:
    """End whatever certificates they have, and return how many those were."""
    of = staff_certificates.c
    return tx.execute(
        update(staff_certificates).where(of.holder_id == staff_row, of.ended_at.is_(None)).values(ended_at=now)
    ).rowcount


@dataclass(frozen=True, slots=True)
class StoredCertificate:
    """A certificate of one of the bank's people, as it is compared with what the staff's CA wrote down."""

    staff_id: str
    serial: int
    fingerprint: bytes
    der: bytes
    not_after: datetime
    issued_at: datetime
    ended_at: datetime | None


def certificates_of_bank(tx: Connection, bank: str) -> list[StoredCertificate]:
    """Return every certificate that the bank's people ever had, in the order of their issue."""
    of = staff_certificates.c
    columns = (t.c.staff_id, of.serial, of.fingerprint, of.der, of.not_after, of.issued_at, of.ended_at)
    rows = tx.execute(select(*columns).join(t, t.c.id == of.holder_id).where(t.c.bank == bank).order_by(of.id))
    return [StoredCertificate(*row) for row in rows]


def end_certificate(tx: Connection, bank: str, serial: int, at: datetime) -> int | None:
    """End the certificate with a serial number and return its holder's row; None where it had ended, or is unknown."""
    of = staff_certificates.c
    holders = select(t.c.id).where(t.c.bank == bank)
    holder: int | None = tx.scalar(
        update(staff_certificates)
        .where(of.serial == serial, of.ended_at.is_(None), of.holder_id.in_(holders))
        .values(ended_at=at)
        .returning(of.holder_id)
    )
    return holder


def is_certified(tx: Connection, certificate_id: int) -> bool:
    """Tell whether a certificate has not ended."""
    of = staff_certificates.c
    found = tx.execute(select(of.id).where(of.id == certificate_id, of.ended_at.is_(None)))
    return found.first() is not None


def of_fingerprint(tx: Connection, fingerprint: bytes) -> AtConsole | None:
    """Return who holds the certificate with exactly those bytes (SHA-256), or None."""
    of = staff_certificates.c
    row = tx.execute(
        select(
            t,
            of.id.label("certificate_id"),
            of.serial,
            of.not_before,
            of.not_after,
            of.ended_at.label("certificate_ended_at"),
        )
        .join(staff_certificates, of.holder_id == t.c.id)
        .where(of.fingerprint == fingerprint)
    ).one_or_none()
    if row is None:
        return None
    return AtConsole(
        staff=_staff(row, _grants(tx, row.id)),
        certificate_id=row.certificate_id,
        serial=row.serial,
        not_before=row.not_before,
        not_after=row.not_after,
        certificate_ended_at=row.certificate_ended_at,
        verifier=row.verifier,
        misses=row.misses,
    )


def grant(tx: Connection, staff_row: int, role: Role, *, by: str, by_id: int | None, now: datetime) -> bool:
    """Grant a role; False where they have it already. Whoever asks holds them."""
    of = staff_roles.c
    held = select(of.id).where(of.holder_id == staff_row, of.role == role.value, of.withdrawn_at.is_(None))
    if tx.execute(held).first() is not None:
        return False
    tx.execute(
        insert(staff_roles).values(
            holder_id=staff_row, role=role.value, granted_by=by, granted_by_id=by_id, granted_at=now
        )
    )
    return True


def withdraw(tx: Connection, staff_row: int, role: Role, *, by: str, now: datetime) -> bool:
    """Withdraw a role; False where they do not have it."""
    of = staff_roles.c
    withdrawn = tx.execute(
        update(staff_roles)
        .where(of.holder_id == staff_row, of.role == role.value, of.withdrawn_at.is_(None))
        .values(withdrawn_by=by, withdrawn_at=now)
    )
    return withdrawn.rowcount == 1


def end(tx: Connection, staff_row: int, now: datetime) -> bool:
    """Note that they are with the bank no more; False where that was done before."""
    ended = tx.execute(update(t).where(t.c.id == staff_row, t.c.ended_at.is_(None)).values(ended_at=now))
    return ended.rowcount == 1


def set_pin(tx: Connection, staff_row: int, verifier: str, now: datetime) -> None:
    """Set the PIN anew; its count starts at zero and the door is open."""
    tx.execute(update(t).where(t.c.id == staff_row).values(verifier=verifier, misses=0, pin_set_at=now, closed_at=None))


def count_miss(tx: Connection, staff_row: int, verifier: str) -> int | None:
    """Count one miss and return how many there are now; None where the PIN was set anew since it was read."""
    misses: int | None = tx.scalar(
        update(t)
        .where(t.c.id == staff_row, t.c.verifier == verifier)
        .values(misses=t.c.misses + 1)
        .returning(t.c.misses)
    )
    return misses


def clear_misses(tx: Connection, staff_row: int) -> None:
    """Start the count anew."""
    tx.execute(update(t).where(t.c.id == staff_row).values(misses=0))


def close(tx: Connection, staff_row: int, now: datetime) -> None:
    """Shut them out."""
    tx.execute(update(t).where(t.c.id == staff_row, t.c.closed_at.is_(None)).values(closed_at=now))


def _grants(tx: Connection, staff_row: int) -> tuple[Grant, ...]:
    of = staff_roles.c
    rows = tx.execute(
        select(of.role, of.granted_by, of.granted_at, of.id, of.granted_by_id)
        .where(of.holder_id == staff_row, of.withdrawn_at.is_(None))
        .order_by(of.id)
    )
    return tuple(Grant(Role(row.role), row.granted_by, row.granted_at, row.id, row.granted_by_id) for row in rows)


def _staff(row: Row[Any], grants: tuple[Grant, ...]) -> Staff:
    return Staff(
        id=row.id,
        bank=row.bank,
        staff_id=row.staff_id,
        name=row.name,
        branch=row.branch,
        registered_at=row.registered_at,
        grants=grants,
        closed_at=row.closed_at,
        ended_at=row.ended_at,
    )
