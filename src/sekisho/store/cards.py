"""Customer cards; each change of state writes when it was, and the time of the state before stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, insert, select, update

from sekisho.domain.customer_card import NOT_POSTED, ON_ITS_WAY, CardState, CustomerCard
from sekisho.domain.errors import CardMoved
from sekisho.store.tables import cards as t

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


def latest(tx: Connection, who: PersonId) -> CustomerCard | None:
    """Return the card that was ordered last: on its way, in use, lost without another, or ended."""
    row = tx.execute(_of(who).order_by(t.c.id.desc()).limit(1)).one_or_none()
    return None if row is None else _card(row)


def of_contract(tx: Connection, who: PersonId, *states: CardState) -> list[CustomerCard]:
    """Return the contract's cards in those states, the newest first."""
    rows = tx.execute(_of(who).where(t.c.state.in_([one.value for one in states])).order_by(t.c.id.desc()))
    return [_card(row) for row in rows]


def to_print(tx: Connection, bank: str) -> list[CustomerCard]:
    """Return the bank's cards that are ordered, or made and not posted, in the order of their rows."""
    rows = tx.execute(select(t).where(t.c.bank == bank, _WAITS_FOR_THE_POST).order_by(t.c.id))
    return [_card(row) for row in rows]


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
    return CustomerCard(
        row.id, row.bank, row.contract_id, row.number, CardState(row.state), row.moved_at, row.expected_at, row.sealed
    )
