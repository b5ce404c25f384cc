"""What of the guide's questions the state of a contract answers."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.support.world import ADMINISTRATOR, KEIRI01

from sekisho.console.guide import known_answers
from sekisho.domain.contract import Person
from sekisho.domain.customer_card import CardState, CustomerCard
from sekisho.domain.errors import UserUnknown
from sekisho.domain.guide import Question
from sekisho.usecases.find_contracts import PersonLine, WholeContract

if TYPE_CHECKING:
    from sekisho.domain.person import PersonId

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)


def line(who: PersonId, *shut: str, alive: bool | None = True) -> PersonLine:
    certificate = None if alive is None else SimpleNamespace(in_force=lambda now: alive and now == NOW)
    person = Person(1, who, "氏名", "会社", None, "ja", **cast("Any", dict.fromkeys(shut, NOW)))
    return PersonLine(person, cast("Any", certificate), None, None)


def whole(*people: PersonLine, card: bool = True) -> WholeContract:
    state = CardState.IN_USE if card else CardState.MADE
    return WholeContract(
        contract=cast("Any", None),
        people=people,
        certificates=[],
        notices=[],
        audit=[],
        audit_goes_on=False,
        forms=[],
        card=CustomerCard(1, "9990", ADMINISTRATOR.contract_id, "0" * 20, state, NOW),
    )


def answers(of: WholeContract, user_id: str | None = None) -> dict[str, str]:
    return {question.value: answer for question, answer in known_answers(of, user_id, NOW).items()}


def test_an_administrator_whose_certificate_is_in_force() -> None:
    known = answers(whole(line(ADMINISTRATOR), line(KEIRI01)))
    assert known == {"whose": "administrator", "certificate": "valid", "locked": "no"}


@pytest.mark.parametrize("alive", [False, None])
def test_it_is_the_administrators_certificate_that_counts_for_a_user(alive: bool | None) -> None:  # noqa: FBT001
    known = answers(whole(line(ADMINISTRATOR, alive=alive), line(KEIRI01)), "keiri01")
    assert known == {"whose": "user", "certificate": "ended", "locked": "no"}


@pytest.mark.parametrize(
    ("doors", "locked"),
    [
        (["closed_at"], "user-suspended"),
        (["closed_at", "contract_closed_at"], "contract-closed"),
        (["stopped_at", "contract_closed_at"], "stopped"),
        (["contract_stopped_at"], "stopped"),
    ],
)
def test_what_shuts_a_user_out(doors: list[str], locked: str) -> None:
    shut = line(KEIRI01, *doors)
    assert answers(whole(line(ADMINISTRATOR), shut), "keiri01")["locked"] == locked


def test_a_card_that_there_is_may_still_be_mislaid() -> None:
    assert Question.CARD not in known_answers(whole(line(ADMINISTRATOR)), None, NOW)
    assert answers(whole(line(ADMINISTRATOR), card=False))["card"] == "lost"


def test_a_user_whom_the_contract_does_not_have() -> None:
    with pytest.raises(UserUnknown):
        known_answers(whole(line(ADMINISTRATOR), line(KEIRI01)), "keiri02", NOW)
