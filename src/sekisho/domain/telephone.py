"""Whether somebody on the telephone is who they say: called back, and asked what only the customer can tell (J10)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sekisho.domain.secret import normal_form

if TYPE_CHECKING:
    from collections.abc import Mapping

_NUMBER = re.compile(r"[0-9]{9,15}")
# Of the questions that were asked, as many have to be answered right, and none wrong.
ANSWERED_AT_LEAST = 2


class Question(StrEnum):
    """What can be asked; the answers stand on the contract's page, and none of them is a secret that opens a door."""

    ADMINISTRATOR = "administrator-name"
    USERS = "number-of-users"
    LAST_LOGON = "last-logon"
    BRANCH = "branch-and-opening"


class Answer(StrEnum):
    """How it was answered."""

    RIGHT = "right"
    WRONG = "wrong"
    NOT_ASKED = "not-asked"


class Stop(StrEnum):
    """What is to be stopped."""

    CERTIFICATE = "certificate"
    USER = "user"
    CONTRACT = "contract"


@dataclass(frozen=True, slots=True)
class TelephoneCheck:
    """What came of a call: the number that the bank called back, in digits, and how each question was answered."""

    call_back: str
    answers: Mapping[Question, Answer]

    @property
    def confirmed(self) -> bool:
        """Whether they are taken for the customer."""
        given = list(self.answers.values())
        return given.count(Answer.RIGHT) >= ANSWERED_AT_LEAST and Answer.WRONG not in given

    def asked(self, answer: Answer) -> list[Question]:
        """Return the questions that were answered so."""
        return [question for question, given in self.answers.items() if given is answer]


def read_check(typed: Mapping[str, str]) -> tuple[TelephoneCheck | None, dict[str, str]]:
    """Return the check as it was typed, or None and what is wrong by field."""
    number = re.sub(r"[\s()-]", "", normal_form(typed.get("call_back", "")).replace("\N{HYPHEN}", "-"))
    answers: dict[Question, Answer] = {}
    wrong: dict[str, str] = {}
    if not number:
        wrong["call_back"] = "entry-missing"
    elif not (number.isascii() and _NUMBER.fullmatch(number)):
        wrong["call_back"] = "telephone-form"
    for question in Question:
        given = typed.get(question.value.replace("-", "_"), "")
        if given in list(Answer):
            answers[question] = Answer(given)
        else:
            wrong[question.value.replace("-", "_")] = "choice-missing"
    return (None if wrong else TelephoneCheck(number, answers)), wrong
