"""What a call shows of who called."""

from __future__ import annotations

import pytest

from sekisho.domain.telephone import Answer, Question, read_check

FIELDS = [question.value.replace("-", "_") for question in Question]


def typed(*answers: str, call_back: str = "０３（１２３４）５６７８") -> dict[str, str]:
    return {"call_back": call_back} | dict(zip(FIELDS, answers, strict=True))


@pytest.mark.parametrize(
    ("answers", "confirmed"),
    [
        (("right", "right", "not-asked", "not-asked"), True),
        (("right", "right", "right", "right"), True),
        (("right", "not-asked", "not-asked", "not-asked"), False),
        (("right", "right", "right", "wrong"), False),
        (("not-asked", "not-asked", "not-asked", "not-asked"), False),
    ],
)
def test_two_right_answers_and_no_wrong_one_confirm(answers: tuple[str, ...], confirmed: bool) -> None:  # noqa: FBT001
    check, wrong = read_check(typed(*answers))
    assert wrong == {}
    assert check is not None
    assert (check.call_back, check.confirmed) == ("0312345678", confirmed)
    assert len(check.asked(Answer.RIGHT)) == answers.count("right")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"call_back": " "}, {"call_back": "entry-missing"}),
        ({"call_back": "110"}, {"call_back": "telephone-form"}),
        ({"call_back": "０３-1234-567x"}, {"call_back": "telephone-form"}),
        ({FIELDS[0]: "maybe"}, {FIELDS[0]: "choice-missing"}),
        ({FIELDS[3]: ""}, {FIELDS[3]: "choice-missing"}),
    ],
)
def test_what_cannot_be_taken_is_said_by_field(given: dict[str, str], problem: dict[str, str]) -> None:
    assert read_check(typed("right", "right", "right", "right") | given) == (None, problem)
