"""Customer cards; each change of state writes when it was, and the time of the state before stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import and_, bindparam, func, insert, select, update

from sekisho.domain.customer_card import NOT_POSTED, ON_ITS_WAY, CardState, CustomerCard
from sekisho.domain.errors import CardMoved
from sekisho.store import bulk
from sekisho.store.tables import cards as t
from sekisho.store.tables import contracts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row

    from sekisho.domain.person import PersonId

_AT = {state: f"{state.value.replace('-', '_')}_at" for state in CardState}
# Built once: each of an administrator's logons with the card asks this.
_TAKE_INTO_USE = (
    update(t)
    .where(
        t.c.bank == bindparam("of_bank"),
        t.c.contract_id == bindparam("of_contract"),
        t.c.state == CardState.POSTED.value,
    )
    .values(state=CardState.IN_USE.value, moved_at=bindparam("at"), in_use_at=bindparam("at"))
    .returning(t.c.id, t.c.number)
)
# Written out, not bound: only so does an engine see that the small index of these states answers it.
_WAITS_FOR_THE_POST = t.c.state.in_(
    bindparam("states", [one.value for one in NOT_POSTED], expanding=True, literal_execute=True)
)


@dataclass(frozen=True, slots=True)
class WaitingCard:
    """A card that is not posted yet, and whose company it is for."""

    card: CustomerCard
    company: str


def add(
    tx: Connection,
    who: PersonId,
    *,
    number: str,
    state: CardState,
    sealed: str | None,
    now: datetime,
    expected_at: datetime | None = None,
) -> int:
    """Write a new card and return its row. Of a contract one is on its way and one in use, or the engine refuses."""
    values = {
        "bank": who.bank,
        "contract_id": who.contract_id,
        "number": number,
        "state": state.value,
        "sealed": sealed,
        "moved_at": now,
        "expected_at": expected_at,
        _AT[state]: now,
    }
    return int(tx.scalars(insert(t).values(values).returning(t.c.id)).one())


def add_first(tx: Connection, new: Sequence[tuple[PersonId, str]], now: datetime, *, in_use: Sequence[bool]) -> None:
    """Write first cards, each with its contract and number: posted, or `in_use` where the contract is open already."""
    rows = [
        {
            "bank": who.bank,
            "contract_id": who.contract_id,
            "number": number,
            "state": (CardState.IN_USE if used else CardState.POSTED).value,
            "moved_at": now,
            "posted_at": None if used else now,
            "in_use_at": now if used else None,
        }
        for (who, number), used in zip(new, in_use, strict=True)
    ]
    bulk.add(tx, t, rows)


def latest(tx: Connection, who: PersonId) -> CustomerCard | None:
    """Return the card that was ordered last: on its way, in use, lost without another, or ended."""
    row = tx.execute(_of(who).order_by(t.c.id.desc()).limit(1)).one_or_none()
    return None if row is None else _card(row)


def of_contract(tx: Connection, who: PersonId, *states: CardState) -> list[CustomerCard]:
    """Return the contract's cards in those states, the newest first."""
    rows = tx.execute(_of(who).where(t.c.state.in_([one.value for one in states])).order_by(t.c.id.desc()))
    return [_card(row) for row in rows]


def to_print(tx: Connection, bank: str) -> list[CustomerCard]:
    """Return the bank's cards that are ordered, or made and not posted, in the order of their rows, held by `tx`.

    Whoever prints at the same moment waits, and then finds made what was made meanwhile.
    """
    rows = tx.execute(select(t).where(t.c.bank == bank, _WAITS_FOR_THE_POST).order_by(t.c.id).with_for_update())
    return [_card(row) for row in rows]


def count_not_posted(tx: Connection, bank: str) -> dict[CardState, int]:
    """Return how many of the bank's cards are ordered, and how many made and not posted."""
    query = select(t.c.state, func.count()).where(t.c.bank == bank, _WAITS_FOR_THE_POST).group_by(t.c.state)
    found = {CardState(state): int(number) for state, number in tx.execute(query)}
    return {state: found.get(state, 0) for state in NOT_POSTED}


def waiting(tx: Connection, bank: str, branch: str | None, *, after: int, most: int) -> list[WaitingCard]:
    """Return the bank's cards that are not posted, or one branch's, the oldest first, from after a row on."""
    query = (
        select(t, contracts.c.name)
        .join(contracts, and_(contracts.c.bank == t.c.bank, contracts.c.contract_id == t.c.contract_id))
        .where(t.c.bank == bank, _WAITS_FOR_THE_POST, t.c.id > after)
        .order_by(t.c.id)
        .limit(most)
    )
    if branch is not None:
        query = query.where(contracts.c.branch == branch)
    return [WaitingCard(_card(row), row.name) for row in tx.execute(query)]


def on_its_way(tx: Connection, bank: str, contract_ids: Sequence[str]) -> dict[str, CustomerCard]:
    """Return the card that is on its way to each of some contracts."""
    rows = tx.execute(
        select(t).where(
            t.c.bank == bank,
            t.c.contract_id.in_(list(contract_ids)),
            t.c.state.in_([one.value for one in ON_ITS_WAY]),
        )
    )
    return {row.contract_id: _card(row) for row in rows}


def move(tx: Connection, card: CustomerCard, to: CardState, now: datetime) -> None:
    """Bring a card to another state. Raises `CardMoved`, also where somebody else moved it since it was read."""
    card.check_move(to)
    moved = tx.execute(
        update(t)
        .where(t.c.id == card.id, t.c.state == card.state.value)
        .values({"state": to.value, "moved_at": now, _AT[to]: now, "sealed": card.sealed if to in NOT_POSTED else None})
    )
    if moved.rowcount != 1:
        raise CardMoved


def take_into_use(tx: Connection, who: PersonId, now: datetime) -> str | None:
    """Note that the posted card was answered from, and return its number; None where none was posted."""
    row = tx.execute(_TAKE_INTO_USE, {"of_bank": who.bank, "of_contract": who.contract_id, "at": now}).one_or_none()
    return None if row is None else str(row.number)


def _of(who: PersonId):  # type: ignore[no-untyped-def]  # noqa: ANN202 - as SQLAlchemy infers it
    return select(t).where(t.c.bank == who.bank, t.c.contract_id == who.contract_id)


def _card(row: Row) -> CustomerCard:  # type: ignore[type-arg]
    came = {state: getattr(row, column) for state, column in _AT.items()}
    return CustomerCard(
        row.id,
        row.bank,
        row.contract_id,
        row.number,
        CardState(row.state),
        row.moved_at,
        row.expected_at,
        row.sealed,
        {state: at for state, at in came.items() if at is not None},
    )
