from __future__ import annotations

import itertools
import os
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.domain import card
from sekisho.domain.errors import EntryNotDigits, PermitExpired, PermitSpent, PermitWithdrawn
from sekisho.domain.permit import Permit
from sekisho.domain.person import Kind, PersonId, common_name_fits, is_contract_id, is_user_id
from sekisho.domain.secret import normal_form, pin_problems

NOW = datetime(2026, 11, 24, tzinfo=UTC)
contract_ids = st.text("0123456789", min_size=11, max_size=11)
user_ids = st.text("0123456789abcXYZ", min_size=1, max_size=30)
bank_codes = st.text("0123456789", min_size=4, max_size=4)


@given(contract_ids, st.none() | user_ids, bank_codes)
def test_a_common_name_fits_its_own_kind_and_bank_alone(contract_id: str, user_id: str | None, bank: str) -> None:
    person = PersonId(bank, contract_id, user_id)
    assert common_name_fits(person.common_name, person.kind, bank)
    other = Kind.USER if person.kind is Kind.ADMINISTRATOR else Kind.ADMINISTRATOR
    assert not common_name_fits(person.common_name, other, bank)
    assert not common_name_fits(person.common_name, person.kind, f"{(int(bank) + 1) % 10000:04}")
    assert len(person.common_name) <= 64, "RFC 5280 appendix A: ub-common-name"


@pytest.mark.parametrize(
    "text", ["1234567890", "123456789012", "1234567890a", "１２３４５６７８９０１", "1234567890\n", ""]
)
def test_what_is_no_contract_id(text: str) -> None:
    assert not is_contract_id(text)


@pytest.mark.parametrize("text", ["", "a" * 31, "a-b", "ａｂ", "ab\n", "経理"])
def test_what_is_no_user_id(text: str) -> None:
    assert not is_user_id(text)


def test_user_ids_are_told_apart_without_regard_to_case() -> None:
    assert PersonId("9990", "1" * 11, "Keiri01").user_key == PersonId("9990", "1" * 11, "KEIRI01").user_key


def test_full_width_entry_is_the_same_entry() -> None:
    assert normal_form("　ＡＢｃ１２３ ") == "ABc123"


@pytest.mark.parametrize(
    ("pin", "problem"),
    [
        ("ab12", "length"),
        ("ab12345678901", "length"),
        ("abcdefgh", "mixture"),
        ("12345678", "mixture"),
        ("abc-1234", "characters"),
        ("あいう1234", "characters"),
        ("KEIRI01", "equals-id"),
        ("sister12", "equals-sister"),
    ],
)
def test_a_pin_that_breaks_a_rule(pin: str, problem: str) -> None:
    assert problem in pin_problems(pin, ids=("12345678901", "keiri01"), sister="sister12")


def test_a_good_pin() -> None:
    assert pin_problems("abc123", ids=("12345678901", "keiri01"), sister="sister12") == []


def permit(**changed: object) -> Permit:
    values = {
        "id": 1,
        "person": PersonId("9990", "1" * 11),
        "granted_at": NOW,
        "expires_at": NOW + timedelta(days=14),
        **changed,
    }
    return Permit(**values)  # type: ignore[arg-type]


def test_a_permit_is_spent_once_and_in_time() -> None:
    spent = permit().spend(NOW)
    assert spent.spent_at == NOW
    with pytest.raises(PermitSpent):
        spent.spend(NOW)
    with pytest.raises(PermitWithdrawn):
        permit(withdrawn_at=NOW).spend(NOW)
    assert permit().spend(NOW + timedelta(days=14) - timedelta(seconds=1))
    with pytest.raises(PermitExpired):
        permit().spend(NOW + timedelta(days=14))


def test_card_positions_are_four_different_ones_and_every_one_comes() -> None:
    drawn = [card.choose_positions(os.urandom) for _ in range(500)]
    assert all(len(set(positions)) == 4 and set(positions) <= set(range(1, 11)) for positions in drawn)
    assert set(itertools.chain.from_iterable(drawn)) == set(range(1, 11))


def test_bytes_that_would_favour_small_digits_are_thrown_away() -> None:
    given_bytes = iter([255, 250, 7] * 20)
    table = card.new_table(lambda _n: bytes([next(given_bytes)]))
    assert set(table.values()) == {"7"}


@pytest.mark.parametrize("digits", [["1", "2", "3", "x"], ["1", "2", "3", ""], ["1", "2", "3", "44"], ["1", "2", "3"]])
def test_a_card_answer_that_is_none(digits: list[str]) -> None:
    with pytest.raises(EntryNotDigits):
        card.read_answer(digits)


def test_a_card_answer() -> None:
    table = {str(position): str(position % 10) for position in range(1, 11)}
    answer = card.read_answer(["３", " 1", "0", "9"])
    assert answer == "3109"
    assert card.answers(table, (3, 1, 10, 9), answer)
    assert not card.answers(table, (3, 1, 10, 8), answer)
