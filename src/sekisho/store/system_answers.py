"""What a system of the bank was answered, so that the same request again gets the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, insert, select, update

from sekisho.store.tables import system_answers as t

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection

OF_REQUEST = ""
"""The `ref` of what the request itself was answered."""
SHUT = "shut"
"""The `ref` that stands beside it where the request shut something."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: the row of the system that made it, SHA-256 of the name that it gave it, and of what it asked."""

    system: int
    key_sha256: bytes
    request_sha256: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """What was answered, and SHA-256 of what had been asked."""

    request_sha256: bytes
    answer: str


def of(tx: Connection, asked: Asked) -> Mapping[str, Answered]:
    """Return what a request of that name was answered, by `ref`."""
    rows = tx.execute(
        select(t.c.ref, t.c.request_sha256, t.c.answer).where(
            t.c.system_id == asked.system, t.c.key_sha256 == asked.key_sha256
        )
    )
    return {row.ref: Answered(row.request_sha256, row.answer) for row in rows}


def keep(tx: Connection, asked: Asked, answers: Mapping[str, str], now: datetime) -> None:
    """Keep answers, each in the place of one of the same `ref`. Whoever asks holds the system's row."""
    known = of(tx, asked)
    for ref, answer in answers.items():
        if ref in known:
            here = (t.c.system_id == asked.system, t.c.key_sha256 == asked.key_sha256, t.c.ref == ref)
            tx.execute(update(t).where(*here).values(answer=answer))
            continue
        tx.execute(
            insert(t).values(
                system_id=asked.system,
                key_sha256=asked.key_sha256,
                ref=ref,
                request_sha256=asked.request_sha256,
                answer=answer,
                answered_at=now,
            )
        )


def count_since(tx: Connection, system: int, ref: str, since: datetime) -> int:
    """Return how many answers of a `ref` a system was given since a moment."""
    given = (t.c.system_id == system, t.c.ref == ref, t.c.answered_at > since)
    return int(tx.scalar(select(func.count()).select_from(t).where(*given)) or 0)


def remove_old(tx: Connection, before: datetime, most: int) -> int:
    """Remove answers that were given before a moment, the oldest first, and return how many."""
    moment = tx.scalar(
        select(t.c.answered_at).where(t.c.answered_at < before).order_by(t.c.answered_at).offset(most).limit(1)
    )
    return tx.execute(delete(t).where(t.c.answered_at < (moment or before))).rowcount
