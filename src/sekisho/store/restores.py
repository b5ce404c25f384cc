"""Whether the database was found to be older than what the CA's journal knows: restored from a backup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, insert, select

from sekisho.store.tables import restores as t

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection


# Read for each crowd of questions about certificates: building a statement costs more than running it.
_BEHIND = select(t.c.bank).where(t.c.bank == bindparam("of_bank"))


def is_behind(tx: Connection, bank: str) -> bool:
    """Tell whether the database may lack certificates or endings that were made.

    Nobody may be told "good" from it then on the strength of a missing row:
    neither by OCSP nor by a revocation list.
    """
    return tx.execute(_BEHIND, {"of_bank": bank}).one_or_none() is not None


def note(tx: Connection, bank: str, now: datetime) -> bool:
    """Note that it is behind; False where that was noted before."""
    if is_behind(tx, bank):
        return False
    tx.execute(insert(t).values(bank=bank, found_at=now))
    return True


def clear(tx: Connection, bank: str) -> bool:
    """Note that it agrees with the journal again; False where it was not behind."""
    return tx.execute(delete(t).where(t.c.bank == bank)).rowcount == 1
