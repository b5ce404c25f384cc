"""Verifiers that were made in no time for PINs that were drawn here, until they are hardened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, insert, select, text

from sekisho.store import people
from sekisho.store.tables import past_pins, secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

_TABLES = (secrets, past_pins)
# Written out: only so does an engine see that the small index of these rows answers it.
_QUICK = {t: text(f"substr({t.name}.verifier, 1, 1) = '~'") for t in _TABLES}
# Built once. Of a PIN that was set anew meanwhile nothing is taken.
_TAKE = {
    t: delete(t)
    .where(t.c.person_id == bindparam("of_person"), t.c.name == bindparam("named"), t.c.verifier == bindparam("read"))
    .returning(*t.c)
    for t in _TABLES
}


@dataclass(frozen=True, slots=True)
class QuickVerifier:
    """A verifier and where it stands; its PIN may have been replaced and be among the past ones."""

    person_id: int
    name: str
    verifier: str


def some(tx: Connection, most: int) -> list[QuickVerifier]:
    """Return some of them, at most so many of each table."""
    found = []
    for t in _TABLES:
        rows = tx.execute(select(t.c.person_id, t.c.name, t.c.verifier).where(_QUICK[t]).limit(most))
        found += [QuickVerifier(*row) for row in rows]
    return found


def replace(tx: Connection, hardened: Mapping[QuickVerifier, str]) -> int:
    """Put a hardened verifier in the place of each, wherever it stands now, and return how many those were.

    A verifier is never changed: the sites' role has no right to. The row is
    taken out and written again with all else that it says, while nobody else
    holds its person.
    """
    people.lock(tx, sorted({one.person_id for one in hardened}))
    replaced = 0
    for t, take in _TAKE.items():
        rows = []
        for one, verifier in hardened.items():
            where = {"of_person": one.person_id, "named": one.name, "read": one.verifier}
            rows += [{**row, "verifier": verifier} for row in tx.execute(take, where).mappings()]
        if rows:
            tx.execute(insert(t), rows)
        replaced += len(rows)
    return replaced
