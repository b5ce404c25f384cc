"""Passkeys of administrators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from sekisho.domain.errors import PasskeyNotAccepted
from sekisho.store.tables import passkeys as t

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Passkey:
    """One passkey: the name that its holder gave it, and what its answers are checked against."""

    id: int
    label: str
    credential_id: bytes
    credential: bytes
    sign_count: int
    added_at: datetime
    used_at: datetime | None


def add(
    tx: Connection,
    person_id: int,
    *,
    label: str,
    credential_id: bytes,
    credential: bytes,
    sign_count: int,
    now: datetime,
) -> None:
    """Keep a new passkey. Raises `PasskeyNotAccepted` where anybody has it, also since a moment ago."""
    row = {
        "person_id": person_id,
        "label": label,
        "credential_id": credential_id,
        "credential": credential,
        "sign_count": sign_count,
        "added_at": now,
    }
    try:
        tx.execute(insert(t).values(row))
    except IntegrityError as clash:
        if "credential_id" in str(clash.orig):
            raise PasskeyNotAccepted from clash
        raise


def of(tx: Connection, person_id: int) -> list[Passkey]:
    """Return the person's passkeys, the oldest first."""
    return [_passkey(row) for row in tx.execute(select(t).where(t.c.person_id == person_id).order_by(t.c.id))]


def mark_used(tx: Connection, passkey: Passkey, sign_count: int, now: datetime) -> bool:
    """Note a use; False where the passkey was used or removed since it was read."""
    marked = tx.execute(
        update(t)
        .where(t.c.id == passkey.id, t.c.sign_count == passkey.sign_count)
        .values(sign_count=sign_count, used_at=now)
    )
    return marked.rowcount == 1


def remove(tx: Connection, person_id: int, passkey_id: int) -> bool:
    """Remove one of the person's passkeys; False where they have none of that row."""
    return tx.execute(delete(t).where(t.c.id == passkey_id, t.c.person_id == person_id)).rowcount == 1


def remove_all(tx: Connection, person_id: int) -> None:
    """Take all of a person's passkeys away."""
    tx.execute(delete(t).where(t.c.person_id == person_id))


def _passkey(row: Any) -> Passkey:
    return Passkey(row.id, row.label, row.credential_id, row.credential, row.sign_count, row.added_at, row.used_at)
