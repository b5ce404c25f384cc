"""The card table: ten digits on the customer card, of which four are asked."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from sekisho.domain.errors import EntryNotDigits
from sekisho.domain.secret import normal_form

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

POSITIONS = 10
ASKED = 4


def read_answer(digits: Sequence[str]) -> str:
    """Return the typed digits as one string of `ASKED` ASCII digits.

    Raises `EntryNotDigits` naming the fields `digit_1` … that hold anything else.
    """
    typed = [normal_form(digit) for digit in digits]
    wrong = {f"digit_{n}": "entry-not-digits" for n, d in enumerate(typed, 1) if len(d) != 1 or d not in "0123456789"}
    if wrong or len(typed) != ASKED:
        raise EntryNotDigits(fields=wrong)
    return "".join(typed)


def answers(table: Mapping[str, str], positions: Sequence[int], answer: str) -> bool:
    """Tell whether `answer` is what stands in the table at `positions`, in time that does not depend on it."""
    expected = "".join(table[str(position)] for position in positions)
    return hmac.compare_digest(expected, answer)


def choose_positions(entropy: Callable[[int], bytes]) -> tuple[int, ...]:
    """Return `ASKED` different positions from 1 to `POSITIONS`, every choice as likely as any other.

    In ascending order, as the eye goes over the card.
    """
    left = list(range(1, POSITIONS + 1))
    return tuple(sorted(left.pop(_below(len(left), entropy)) for _ in range(ASKED)))


def new_table(entropy: Callable[[int], bytes]) -> dict[str, str]:
    """Return a new card table: position "1" to "10", each with one digit."""
    return {str(position): str(_below(10, entropy)) for position in range(1, POSITIONS + 1)}


def _below(bound: int, entropy: Callable[[int], bytes]) -> int:
    # Bytes past the last whole multiple would favour small numbers.
    while (byte := entropy(1)[0]) >= 256 - 256 % bound:
        pass
    return byte % bound
