"""The guide: every combination of answers ends in a plan, and a plan names only what the system has."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from starlette.routing import Match
from tests.support.world import BANK

from sekisho.domain import guide
from sekisho.domain.guide import (
    Do,
    GuideStep,
    Note,
    Plan,
    Question,
    Ready,
    Takes,
    all_situations,
    asked,
    choices,
    next_question,
    plan_for,
    read_answers,
)
from sekisho.domain.person import Kind
from sekisho.domain.policy import Policy
from sekisho.domain.request_forms import FormKind
from sekisho.domain.second_step import SecondStep
from sekisho.portal.administrator import administrator_app
from sekisho.portal.guide import shown_guide
from sekisho.portal.public import public_app
from sekisho.portal.user import user_app
from sekisho.web import messages
from sekisho.web.guide_address import guide_address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.applications import Starlette

POLICY = Policy()
SITUATIONS = list(all_situations(POLICY))
URLS = {
    "public": "https://bank.example",
    "administrator": "https://admin.bank.example",
    "user": "https://user.bank.example",
}


@pytest.fixture(scope="module")
def apps() -> Mapping[str, Starlette]:
    def site(name: str) -> Any:
        return SimpleNamespace(bank=BANK, kind=None, name=name, urls=URLS, turnstile=None)

    chains = cast("Any", None)
    return {
        "public": public_app(site("public"), chains=chains, est=()),
        "administrator": administrator_app(site("administrator"), chains=chains, est=()),
        "user": user_app(site("user"), chains=chains, est=()),
    }


def answers_of(plain: str) -> dict[Question, str]:
    """Read "user works valid no known at-hand", the answers in the order of their questions."""
    answers: dict[Question, str] = {}
    for answer in plain.split():
        question = next_question(answers)
        assert question is not None
        assert answer in choices(question, answers, POLICY)
        answers[question] = answer
    assert next_question(answers) is None
    return answers


def plan_of(plain: str) -> Plan:
    return plan_for(answers_of(plain))


def things_to_do(plain: str) -> list[Do]:
    return [step.do for step in plan_of(plain).steps]


def opens(app: Starlette, path: str) -> bool:
    scope = {"type": "http", "method": "GET", "path": path, "root_path": ""}
    return any(route.matches(scope)[0] is Match.FULL for route in app.routes)


def test_all_combinations_of_answers_are_looked_at() -> None:
    assert len(SITUATIONS) == 3 * (3 * 2 * 4 * 4) + (2 + 1 + 1) * 3 * 2 * 3 + (2 + 1 + 1) * 4 * 4 * 3
    assert len({guide_address(one) for one in SITUATIONS}) == len(SITUATIONS)


def test_every_step_of_every_plan_leads_to_a_page_or_forms_that_there_are(apps: Mapping[str, Starlette]) -> None:
    assert not opens(apps["public"], "/contract/users")
    for situation in SITUATIONS:
        for step in plan_for(situation).steps:
            assert (step.page is None) == bool(step.forms), step
            if step.page is not None:
                site, path = step.page
                assert opens(apps[site], path), step
            for form in step.forms:
                assert opens(apps["public"], f"/forms/{FormKind(form).value}.pdf")


def test_every_question_and_every_choice_is_a_page_of_its_own_and_goes_on() -> None:
    for situation in SITUATIONS:
        known: dict[Question, str] = {}
        for question in asked(situation):
            shown = shown_guide({one.value: answer for one, answer in known.items()}, BANK, URLS, "ja")
            assert shown["asked"].name == question.value
            hrefs = [choice.href for choice in shown["asked"].choices]
            known[question] = situation[question]
            assert guide_address(known) in hrefs
        shown = shown_guide({one.value: answer for one, answer in known.items()}, BANK, URLS, "en")
        assert shown["plan"].steps


@pytest.mark.parametrize("lang", messages.LANGUAGES)
def test_everything_that_a_plan_can_say_has_words(lang: messages.Language) -> None:
    for situation in SITUATIONS:
        plan = plan_for(situation)
        keys = [f"do.{step.do}" for step in plan.steps] + [f"open.{step.do}" for step in plan.steps if step.page]
        keys += [f"ready.{one}" for one in plan.ready] + [f"takes.{plan.takes}"] + [f"note.{one}" for one in plan.notes]
        keys += [f"answer.{question}.{answer}" for question, answer in situation.items()]
        for key in keys:
            assert messages.pattern(lang, f"guide.{key}")


def test_every_answer_matters() -> None:
    """No question is asked in vain: any two of its answers lead somewhere to different plans."""
    for question in Question:
        pairs, told_apart = set(), set()
        for situation in (one for one in SITUATIONS if question in one):
            for pair in combinations(choices(question, situation, POLICY), 2):
                given = {one.value: answer for one, answer in situation.items()}
                both = [read_answers({**given, question.value: answer}, POLICY) for answer in pair]
                pairs.add(pair)
                if any(next_question(one) for one in both) or plan_for(both[0]) != plan_for(both[1]):
                    told_apart.add(pair)
        assert pairs
        assert told_apart == pairs, question


@pytest.mark.parametrize(
    ("situation", "steps"),
    [
        (
            "user works valid no known at-hand",
            [Do.LOG_ON_ADMINISTRATOR, Do.REISSUE_USER, Do.ACQUIRE_USER, Do.LOG_ON_USER],
        ),
        (
            "user broken valid user-suspended forgotten-user other-step",
            [
                Do.LOG_ON_ADMINISTRATOR,
                Do.LIFT_SUSPENSION,
                Do.REISSUE_USER,
                Do.RESET_USER_PINS,
                Do.ACQUIRE_USER_WITH_CODE,
                Do.LOG_ON_USER_AND_REPLACE_PINS,
            ],
        ),
        (
            "user lost valid no known at-hand",
            [Do.LOG_ON_ADMINISTRATOR, Do.REISSUE_USER, Do.ACQUIRE_USER, Do.LOG_ON_USER],
        ),
        (
            "user lost ended no known at-hand",
            [
                Do.STOP_BY_TELEPHONE,
                Do.GO_TO_THE_BRANCH,
                Do.ACQUIRE_ADMINISTRATOR,
                Do.LOG_ON_ADMINISTRATOR,
                Do.REISSUE_USER,
                Do.ACQUIRE_USER,
                Do.LOG_ON_USER,
            ],
        ),
        (
            "administrator works valid no known at-hand",
            [Do.FILE_ON_SCREEN, Do.ACQUIRE_ADMINISTRATOR, Do.LOG_ON_ADMINISTRATOR],
        ),
        (
            "administrator works ended no known at-hand",
            [Do.GO_TO_THE_BRANCH, Do.ACQUIRE_ADMINISTRATOR, Do.LOG_ON_ADMINISTRATOR],
        ),
        (
            "administrator lost stopped known lost",
            [Do.GO_TO_THE_BRANCH, Do.ACQUIRE_ADMINISTRATOR, Do.LOG_ON_WITH_INTERIM_CODE],
        ),
        (
            "administrator broken no forgotten-administrator lost",
            [
                Do.GO_TO_THE_BRANCH,
                Do.ACQUIRE_ADMINISTRATOR_WITH_CODE,
                Do.LOG_ON_WITH_INTERIM_CODE,
                Do.REPLACE_ADMINISTRATOR_PINS,
            ],
        ),
        (
            "both broken no known at-hand",
            [
                Do.GO_TO_THE_BRANCH,
                Do.ACQUIRE_ADMINISTRATOR,
                Do.LOG_ON_ADMINISTRATOR,
                Do.REISSUE_USER,
                Do.ACQUIRE_USER,
                Do.LOG_ON_USER,
            ],
        ),
    ],
)
def test_a_plan_is_exactly_what_the_situation_asks_for(situation: str, steps: list[Do]) -> None:
    assert things_to_do(situation) == steps


@pytest.mark.parametrize(
    ("situation", "forms", "takes"),
    [
        ("user works valid no known at-hand", [], Takes.MINUTES),
        ("user works valid no known lost", [FormKind.CARD_REISSUE, FormKind.INTERIM_STEP], Takes.BRANCH),
        ("user works valid contract-closed known at-hand", [FormKind.LOCKOUT_LIFT], Takes.BRANCH),
        ("user works valid stopped known at-hand", [FormKind.EMERGENCY_STOP_LIFT], Takes.BRANCH),
        ("user works valid no forgotten-administrator at-hand", [FormKind.PIN_RESET], Takes.BRANCH),
        ("administrator works ended no known other-step", [FormKind.CERTIFICATE_REISSUE], Takes.BRANCH),
        (
            "both lost contract-closed forgotten-both lost",
            [
                FormKind.CERTIFICATE_REVOCATION,
                FormKind.LOCKOUT_LIFT,
                FormKind.CERTIFICATE_REISSUE,
                FormKind.PIN_RESET,
                FormKind.CARD_REISSUE,
                FormKind.INTERIM_STEP,
            ],
            Takes.BRANCH,
        ),
    ],
)
def test_the_forms_and_the_time_are_those_of_the_situation(situation: str, forms: list[FormKind], takes: Takes) -> None:
    plan = plan_of(situation)
    assert (list(plan.forms), plan.takes) == (forms, takes)


def test_what_to_have_ready_names_nothing_that_is_not_there() -> None:
    for situation in SITUATIONS:
        ready = set(plan_for(situation).ready)
        pins, card = situation[Question.PINS], situation[Question.CARD]
        assert (Ready.CARD in ready) == (card == guide.AT_HAND)
        assert (Ready.CONTRACT_PINS in ready) == (pins in {guide.KNOWN, guide.USER_FORGOT})
        assert (Ready.SEAL in ready) == bool(plan_for(situation).forms)
        assert not {Ready.SEAL, Ready.OLD_COMPUTER} <= ready
        assert not {Ready.USER_PINS, Ready.USER_MAIL} <= ready
        assert (Ready.USER_ID in ready) == (situation[Question.WHOSE] != guide.ADMINISTRATOR)


def test_whoever_lost_the_card_gets_in_without_waiting_for_the_new_one() -> None:
    for situation in SITUATIONS:
        plan = plan_for(situation)
        steps = {step.do: step for step in plan.steps}
        lost = situation[Question.CARD] == guide.LOST
        assert (Do.LOG_ON_WITH_INTERIM_CODE in steps) == (Note.CARD_FOLLOWS in plan.notes) == lost
        assert (Ready.PHONE in plan.ready) == lost
        if lost:
            assert {FormKind.CARD_REISSUE, FormKind.INTERIM_STEP} <= set(steps[Do.GO_TO_THE_BRANCH].forms)


def test_who_can_go_on_with_the_old_computer_is_told_so() -> None:
    assert Note.OLD_WORKS_UNTIL_REISSUE in plan_of("administrator works valid no known at-hand").notes
    for situation in ("administrator works ended no known at-hand", "administrator works valid stopped known at-hand"):
        assert Note.OLD_WORKS_UNTIL_REISSUE not in plan_of(situation).notes
    assert Note.ENDED_AT_ONCE in plan_of("user works valid no known at-hand").notes


def test_whatever_stands_in_an_address_the_guide_goes_on_from_what_fits() -> None:
    given = {"whose": "user", "old": "<b>", "pins": "forgotten-user", "locked": "user-suspended", "x": "1"}
    assert read_answers(given, POLICY) == {
        Question.WHOSE: "user",
        Question.LOCKED: "user-suspended",
        Question.PINS: "forgotten-user",
    }
    assert read_answers({**given, "whose": "administrator"}, POLICY) == {Question.WHOSE: "administrator"}
    assert read_answers({"locked": "stopped"}, POLICY) == {}
    gone = {"whose": "both", "old": "lost", "certificate": "valid"}
    assert read_answers(gone, POLICY) == {Question.WHOSE: "both", Question.OLD: "lost"}


def test_another_second_step_is_asked_for_only_where_the_bank_has_one() -> None:
    only_cards = replace(POLICY, second_steps=frozenset({SecondStep.CARD}))
    assert choices(Question.CARD, {}, only_cards) == ("at-hand", "lost")
    assert choices(Question.CARD, {}, POLICY) == ("at-hand", "other-step", "lost")


def test_back_leads_to_the_question_before_and_changing_one_answer_keeps_the_others() -> None:
    shown = shown_guide({"whose": "user", "old": "works", "card": "lost"}, BANK, URLS, "ja")
    assert (shown["asked"].name, shown["asked"].number, shown["asked"].total) == ("certificate", 3, 6)
    assert shown["asked"].back == "/guide?card=lost&whose=user"
    assert [one.href for one in shown["answered"]][1] == "/guide?card=lost&whose=user"
    first = shown_guide({}, BANK, URLS, "ja")
    assert (first["asked"].number, first["asked"].back) == (1, None)
    assert len(first["forms"]) == len(FormKind)


def test_steps_say_who_takes_them() -> None:
    steps = plan_of("user works valid no known at-hand").steps
    assert steps[1] == GuideStep(Do.REISSUE_USER, Kind.ADMINISTRATOR, ("administrator", "/contract/users"))
    assert steps[-1].who is Kind.USER
