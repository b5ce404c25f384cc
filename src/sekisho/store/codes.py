"""Codes that were mailed. The table knows verifiers only; each code counts once and for a short time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import func, insert, or_, select, update

from sekisho.store.tables import mailed_codes as t

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection


class Purpose(StrEnum):
    """What a code is good for, and for nothing else."""

    ACQUISITION = "acquisition"
    MAIL_ADDRESS = "mail-address"
    NEW_MAIL_ADDRESS = "new-mail-address"


@dataclass(frozen=True, slots=True)
class MailedCode:
    """A code as the table knows it; `misses` counts wrong entries while it was the latest."""

    id: int
    person_id: int
    purpose: Purpose
    permit_id: int | None
    mail_address: str
    verifier: str
    made_at: datetime
    expires_at: datetime
    used_at: datetime | None
    misses: int


def add(
    tx: Connection,
    person_id: int,
    purpose: Purpose,
    *,
    mail_address: str,
    verifier: str,
    now: datetime,
    expires_at: datetime,
    permit_id: int | None = None,
) -> int:
    """Write that a code is being mailed, and return its row; the ones before it for the same purpose count no more."""
    code_id: int = tx.execute(
        insert(t)
        .values(
            person_id=person_id,
            purpose=purpose.value,
            permit_id=permit_id,
            mail_address=mail_address,
            verifier=verifier,
            made_at=now,
            expires_at=expires_at,
            misses=0,
        )
        .returning(t.c.id)
    ).scalar_one()
    return code_id


def latest(tx: Connection, person_id: int, purpose: Purpose) -> MailedCode | None:
    """Return the last code that was mailed to the person for a purpose, in whatever state."""
    row = tx.execute(
        select(t).where(t.c.person_id == person_id, t.c.purpose == purpose.value).order_by(t.c.id.desc()).limit(1)
    ).one_or_none()
    if row is None:
        return None
    return MailedCode(
        id=row.id,
        person_id=row.person_id,
        purpose=Purpose(row.purpose),
        permit_id=row.permit_id,
        mail_address=row.mail_address,
        verifier=row.verifier,
        made_at=row.made_at,
        expires_at=row.expires_at,
        used_at=row.used_at,
        misses=row.misses,
    )


def made_since(tx: Connection, person_id: int, purpose: Purpose, since: datetime) -> int:
    """Return how many codes were mailed to the person for a purpose since a moment; those taken back were not."""
    mailed = or_(t.c.used_at.is_(None), t.c.used_at != t.c.made_at)
    return tx.execute(
        select(func.count()).where(
            t.c.person_id == person_id, t.c.purpose == purpose.value, t.c.made_at >= since, mailed
        )
    ).scalar_one()


def take_back(tx: Connection, code_id: int) -> None:
    """Have a code that could not be mailed count no more: it was over when it was made, which no other one is."""
    tx.execute(update(t).where(t.c.id == code_id, t.c.used_at.is_(None)).values(used_at=t.c.made_at))


def use(tx: Connection, code_id: int, now: datetime) -> bool:
    """Spend a code; False where it was spent before, or is over.

    The WHERE clause is the lock: of two that use it at once one matches no row.
    """
    used = tx.execute(
        update(t).where(t.c.id == code_id, t.c.used_at.is_(None), t.c.expires_at > now).values(used_at=now)
    )
    return used.rowcount == 1


def count_miss(tx: Connection, code_id: int, limit: int) -> int | None:
    """Count a wrong entry against a code, and return the count; None where it had its last before."""
    misses: int | None = tx.scalar(
        update(t).where(t.c.id == code_id, t.c.misses < limit).values(misses=t.c.misses + 1).returning(t.c.misses)
    )
    return misses
