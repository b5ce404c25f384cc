"""Verifiers of secrets and their counts of misses. Never batched: each guess is judged where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, insert, or_, select, update

from sekisho.domain.secret import PINS, SecretName
from sekisho.store import bulk
from sekisho.store.bulk import OfMany
from sekisho.store.tables import past_pins, permits
from sekisho.store.tables import secrets as t

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Secret:
    """What one entry is checked against, as it was when it was read.

    A provisional PIN counts until `provisional_until`, and so do the branch's
    code for an app and an app that stands in for a card; None for what has no end.
    """

    person_id: int
    name: SecretName
    verifier: str
    misses: int
    asked: tuple[int, ...]
    set_at: datetime | None = None
    used_step: int | None = None
    provisional_until: datetime | None = None

    def ended(self, now: datetime) -> bool:
        """Tell whether its time is over."""
        return self.provisional_until is not None and now >= self.provisional_until


# What ends with a permit; the branch's code for an app, and an app that stands in for a card, have times of their own.
_IS_PIN = t.c.name.in_([name.value for name in PINS])
# Built once: building a statement costs more than running it.
_OF = OfMany(lambda among: select(t).where(among(t.c.person_id, "people"), among(t.c.name, "names")))
# A secret that was set anew since it was read is another secret: an entry
# that was checked against the old one does not count.
_COUNT_MISS = (
    update(t)
    .where(
        t.c.person_id == bindparam("of_person"),
        t.c.name == bindparam("named"),
        t.c.verifier == bindparam("read_verifier"),
    )
    .values(misses=t.c.misses + 1)
    .returning(t.c.misses)
)
# Nearly everybody's count is zero already, and what is not written costs nothing.
_CLEAR = OfMany(
    lambda among: (
        update(t)
        .where(among(t.c.person_id, "people"), t.c.name.in_(bindparam("names", expanding=True)), t.c.misses != 0)
        .values(misses=0)
    )
)


def put(
    tx: Connection,
    person_id: int,
    name: SecretName,
    verifier: str,
    now: datetime,
    *,
    provisional_until: datetime | None = None,
) -> None:
    """Set a secret anew; its count starts at zero and nothing is asked."""
    tx.execute(delete(t).where(t.c.person_id == person_id, t.c.name == name.value))
    tx.execute(
        insert(t).values(
            person_id=person_id,
            name=name.value,
            verifier=verifier,
            misses=0,
            set_at=now,
            provisional_until=provisional_until,
        )
    )


def put_new(tx: Connection, new: Sequence[tuple[int, SecretName, str]], now: datetime) -> None:
    """Set secrets of people who had none of these names: of each the person's row, the name and the verifier."""
    rows = [
        {"person_id": person_id, "name": name.value, "verifier": verifier, "misses": 0, "set_at": now}
        for person_id, name, verifier in new
    ]
    bulk.add(tx, t, rows)


def replace_pin(
    tx: Connection,
    present: Secret,
    verifier: str,
    now: datetime,
    *,
    remembered: int,
    provisional_until: datetime | None = None,
) -> None:
    """Set a PIN anew, and remember the verifier of the present one among the last `remembered`."""
    of_this = (past_pins.c.person_id == present.person_id, past_pins.c.name == present.name.value)
    tx.execute(
        insert(past_pins).values(
            person_id=present.person_id, name=present.name.value, verifier=present.verifier, replaced_at=now
        )
    )
    kept = select(past_pins.c.id).where(*of_this).order_by(past_pins.c.id.desc()).limit(remembered)
    tx.execute(delete(past_pins).where(*of_this, past_pins.c.id.not_in(kept)))
    put(tx, present.person_id, present.name, verifier, now, provisional_until=provisional_until)


def end_provisional(tx: Connection, person_id: int, now: datetime) -> None:
    """End the person's provisional PINs, if they have any: the permit that they came with has ended."""
    tx.execute(
        update(t).where(t.c.person_id == person_id, _IS_PIN, t.c.provisional_until > now).values(provisional_until=now)
    )


def end_provisional_of_ended_permit(tx: Connection, person_id: int, now: datetime) -> None:
    """End them if wrong entries have just ended the permit.

    One statement, whether or not there is anything to end: whoever watches
    how much work an entry makes learns nothing from it.
    """
    ended = select(permits.c.id).where(permits.c.person_id == person_id, permits.c.withdrawn_at == now)
    tx.execute(
        update(t)
        .where(t.c.person_id == person_id, _IS_PIN, t.c.provisional_until > now, ended.exists())
        .values(provisional_until=now)
    )


def remove_all(tx: Connection, person_id: int) -> None:
    """Forget whatever a person who was deleted knew."""
    for table in (past_pins, t):
        tx.execute(delete(table).where(table.c.person_id == person_id))


def past_verifiers(tx: Connection, person_id: int, name: SecretName, most: int) -> list[str]:
    """Return the verifiers of the last PINs that the present one replaced, the newest first."""
    rows = tx.scalars(
        select(past_pins.c.verifier)
        .where(past_pins.c.person_id == person_id, past_pins.c.name == name.value)
        .order_by(past_pins.c.id.desc())
        .limit(most)
    )
    return list(rows)


def set_since(tx: Connection, person_id: int, names: Sequence[SecretName]) -> dict[SecretName, datetime]:
    """Return when each of the person's secrets was set."""
    rows = tx.execute(
        select(t.c.name, t.c.set_at).where(t.c.person_id == person_id, t.c.name.in_([name.value for name in names]))
    )
    return {SecretName(row.name): row.set_at for row in rows}


def of(tx: Connection, person_id: int, names: Sequence[SecretName]) -> dict[SecretName, Secret]:
    """Return those of the person's secrets that are set. A person_id of nobody costs the same."""
    return of_people(tx, [person_id], names).get(person_id, {})


def of_people(
    tx: Connection, person_ids: Sequence[int], names: Sequence[SecretName]
) -> dict[int, dict[SecretName, Secret]]:
    """Return those of the people's secrets that are set, by the person's row."""
    found: dict[int, dict[SecretName, Secret]] = {}
    for row in _OF.run(tx, {"people": list(person_ids), "names": [name.value for name in names]}):
        name = SecretName(row.name)
        secret = Secret(
            row.person_id,
            name,
            row.verifier,
            row.misses,
            read_asked(row.asked),
            row.set_at,
            row.used_step,
            row.provisional_until,
        )
        found.setdefault(row.person_id, {})[name] = secret
    return found


def count_miss(tx: Connection, secret: Secret) -> int | None:
    """Count one miss and return how many there are now; None where the secret was set anew since it was read."""
    misses: int | None = tx.scalar(
        _COUNT_MISS,
        {
            "of_person": secret.person_id,
            "named": secret.name.value,
            "read_verifier": secret.verifier,
        },
    )
    return misses


def clear_misses(tx: Connection, person_ids: Sequence[int], names: Iterable[SecretName]) -> None:
    """Start people's counts anew, after the last step."""
    _CLEAR.run(tx, {"people": list(person_ids), "names": [name.value for name in names]})


def read_asked(text: str | None) -> tuple[int, ...]:
    """Return the positions that are asked, as `ask` wrote them."""
    return tuple(int(position) for position in (text or "").split(",") if position)


def ask(tx: Connection, person_id: int, positions: Sequence[int]) -> None:
    """Keep the card's question, so that it stays the same until it is answered; an empty one was answered."""
    tx.execute(
        update(t)
        .where(t.c.person_id == person_id, t.c.name == SecretName.CARD.value)
        .values(asked=",".join(map(str, positions)) or None)
    )


def remove(tx: Connection, person_id: int, name: SecretName) -> bool:
    """Take a secret away; False where it was not set."""
    return tx.execute(delete(t).where(t.c.person_id == person_id, t.c.name == name.value)).rowcount == 1


def use_step(tx: Connection, person_id: int, name: SecretName, step: int) -> bool:
    """Note the time step whose one-time code was taken; False where that one, or a later one, was before."""
    used = tx.execute(
        update(t)
        .where(
            t.c.person_id == person_id,
            t.c.name == name.value,
            or_(t.c.used_step.is_(None), t.c.used_step < step),
        )
        .values(used_step=step)
    )
    return used.rowcount == 1
