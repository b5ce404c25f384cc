"""The customer card お客様カード as a thing that is ordered, made, posted and lost (J7, J10).

ordered → made → posted → in-use, from posted and in-use to lost, from lost to
replaced, and from everything that has not ended to ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from sekisho.domain.errors import CardMoved

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date, datetime

# What a customer is told at most: two to three weeks, each of five bank days.
EXPECTED_WITHIN = 15
_NUMBER_BYTES = 8
_SATURDAY = 5


class CardState(StrEnum):
    """Where a card is."""

    ORDERED = "ordered"
    MADE = "made"
    POSTED = "posted"
    IN_USE = "in-use"
    LOST = "lost"
    REPLACED = "replaced"
    ENDED = "ended"


ON_ITS_WAY = (CardState.ORDERED, CardState.MADE, CardState.POSTED)
# The table of these stands with the card; of a posted card and of one in use it is a secret of the administrator.
NOT_POSTED = (CardState.ORDERED, CardState.MADE)
_LEADS_TO: Mapping[CardState, frozenset[CardState]] = {
    CardState.ORDERED: frozenset({CardState.MADE, CardState.ENDED}),
    CardState.MADE: frozenset({CardState.POSTED, CardState.ENDED}),
    CardState.POSTED: frozenset({CardState.IN_USE, CardState.LOST, CardState.ENDED}),
    CardState.IN_USE: frozenset({CardState.LOST, CardState.ENDED}),
    CardState.LOST: frozenset({CardState.REPLACED, CardState.ENDED}),
    CardState.REPLACED: frozenset(),
    CardState.ENDED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class CustomerCard:
    """A card as it stands; `sealed` is its table until it is posted, `moments` are when it came to each state."""

    id: int
    bank: str
    contract_id: str
    number: str
    state: CardState
    moved_at: datetime
    expected_at: datetime | None = None
    sealed: str | None = None
    moments: Mapping[CardState, datetime] = field(default_factory=dict)

    def check_move(self, to: CardState) -> None:
        """Raise `CardMoved` where a card in this state does not come to that one."""
        if to not in _LEADS_TO[self.state]:
            raise CardMoved


def new_number(random: bytes) -> str:
    """Return a card's number, twenty digits, from eight random bytes. It is no secret: it tells cards apart."""
    if len(random) != _NUMBER_BYTES:
        raise ValueError("a card's number is drawn from 8 bytes")
    return f"{int.from_bytes(random):020d}"


def expected_arrival(ordered_at: datetime, is_holiday: Callable[[date], bool]) -> datetime:
    """Return when a card that was ordered then is with the customer at the latest: 15 bank days later."""
    day, left = ordered_at, EXPECTED_WITHIN
    while left:
        day += timedelta(days=1)
        left -= day.weekday() < _SATURDAY and not is_holiday(day.date())
    return day
