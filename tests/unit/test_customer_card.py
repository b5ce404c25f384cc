"""The states of a customer card, its number, and when it is expected."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import product

import pytest

from sekisho.domain.customer_card import CardState, CustomerCard, expected_arrival, new_number
from sekisho.domain.errors import CardMoved

AT = datetime(2026, 11, 20, 1, tzinfo=UTC)
ALLOWED = {
    ("ordered", "made"),
    ("made", "posted"),
    ("posted", "in-use"),
    ("posted", "lost"),
    ("in-use", "lost"),
    ("lost", "replaced"),
    *((state, "ended") for state in ("ordered", "made", "posted", "in-use", "lost")),
}


def test_a_card_moves_only_along_its_way() -> None:
    found = set()
    for state, to in product(CardState, CardState):
        try:
            CustomerCard(1, "9990", "12345678901", "1", state, AT).check_move(to)
        except CardMoved:
            continue
        found.add((state.value, to.value))
    assert found == ALLOWED


def test_a_number_has_twenty_digits() -> None:
    assert new_number(b"\xff" * 8) == "18446744073709551615"
    assert new_number(bytes(8)) == "0" * 20
    with pytest.raises(ValueError, match="8 bytes"):
        new_number(b"x")


def test_a_card_is_expected_after_fifteen_bank_days() -> None:
    assert expected_arrival(AT, lambda _: False).date() == date(2026, 12, 11)
    holiday = date(2026, 11, 23)
    assert expected_arrival(AT, lambda day: day == holiday).date() == date(2026, 12, 14)
