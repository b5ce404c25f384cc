"""Verifiers of secrets and their counts of misses. Never batched: each guess is judged where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from sekisho.domain.secret import SecretName
from sekisho.store.tables import secrets as t

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection


@dataclass(frozen=True, slots=True)
class Secret:
    """What one entry is checked against, as it was when it was read."""

    person_id: int
    name: SecretName
    verifier: str
    misses: int
    asked: tuple[int, ...]


def put(tx: Connection, person_id: int, name: SecretName, verifier: str, now: datetime) -> None:
    """Set a secret anew; its count starts at zero and nothing is asked."""
    tx.execute(delete(t).where(t.c.person_id == person_id, t.c.name == name.value))
    tx.execute(insert(t).values(person_id=person_id, name=name.value, verifier=verifier, misses=0, set_at=now))


def of(tx: Connection, person_id: int, names: Sequence[SecretName]) -> dict[SecretName, Secret]:
    """Return those of the person's secrets that are set. A person_id of nobody costs the same."""
    rows = tx.execute(select(t).where(t.c.person_id == person_id, t.c.name.in_([name.value for name in names])))
    return {
        SecretName(row.name): Secret(
            person_id=row.person_id,
            name=SecretName(row.name),
            verifier=row.verifier,
            misses=row.misses,
            asked=tuple(int(position) for position in (row.asked or "").split(",") if position),
        )
        for row in rows
    }


def _still_open(secret: Secret, limit: int) -> list[ColumnElement[bool]]:
    # A secret that was set anew since it was read is another secret: an entry
    # that was checked against the old one neither counts nor opens anything.
    return [
        t.c.person_id == secret.person_id,
        t.c.name == secret.name.value,
        t.c.verifier == secret.verifier,
        t.c.misses < limit,
    ]


def count_miss(tx: Connection, secret: Secret, limit: int) -> int | None:
    """Count one miss and return how many there are now; None where the door had closed, or the secret changed."""
    misses: int | None = tx.scalar(
        update(t).where(*_still_open(secret, limit)).values(misses=t.c.misses + 1).returning(t.c.misses)
    )
    return misses


def take_hit(tx: Connection, secret: Secret, limit: int) -> bool:
    """Tell whether a right entry takes effect: only while the door is still open. The count stays."""
    held = tx.execute(update(t).where(*_still_open(secret, limit)).values(misses=t.c.misses))
    return held.rowcount == 1


def clear_misses(tx: Connection, person_id: int, names: Iterable[SecretName]) -> None:
    """Start the counts anew, after the last step."""
    tx.execute(
        update(t).where(t.c.person_id == person_id, t.c.name.in_([name.value for name in names])).values(misses=0)
    )


def ask(tx: Connection, person_id: int, positions: Sequence[int]) -> None:
    """Keep the card's question, so that it stays the same until it is answered; an empty one was answered."""
    tx.execute(
        update(t)
        .where(t.c.person_id == person_id, t.c.name == SecretName.CARD.value)
        .values(asked=",".join(map(str, positions)) or None)
    )
