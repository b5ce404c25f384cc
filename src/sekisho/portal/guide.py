"""The guide 「パソコンを変更するとき」: one question on a page, each state an address without a secret (J13)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from sekisho.domain.guide import (
    Plan,
    Question,
    asked,
    choices,
    next_question,
    plan_for,
    read_answers,
)
from sekisho.domain.request_forms import OVERDUE_AFTER, FormKind
from sekisho.portal.forms import form_path
from sekisho.web.endpoint import endpoint
from sekisho.web.form_words import form_title
from sekisho.web.guide_address import GUIDE, guide_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sekisho.domain.contract import Bank
    from sekisho.web.messages import Language
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit


@dataclass(frozen=True, slots=True)
class _Choice:
    answer: str
    href: str


@dataclass(frozen=True, slots=True)
class _Asked:
    """The question on the page, the how-manieth of how many; `back` leads to the one before, None at the first."""

    name: str
    number: int
    total: int
    choices: list[_Choice]
    back: str | None


@dataclass(frozen=True, slots=True)
class _Answered:
    """An answer that was given; `href` asks the question again."""

    name: str
    answer: str
    href: str


@dataclass(frozen=True, slots=True)
class _Form:
    title: str
    href: str


@dataclass(frozen=True, slots=True)
class _ShownStep:
    do: str
    who: str | None
    href: str | None
    forms: list[_Form]


@dataclass(frozen=True, slots=True)
class _ShownPlan:
    """The plan as the page shows it; `back` leads to the last question."""

    steps: list[_ShownStep]
    ready: list[str]
    takes: str
    notes: list[str]
    back: str


def guide_routes(site: Site) -> list[BaseRoute]:
    """Return the guide."""
    return [Route(GUIDE, endpoint(site, guide_page))]


def guide_page(visit: Visit) -> Response:
    """Ask the first question that is open, or show the plan."""
    site = visit.site
    return visit.page("guide.html", **shown_guide(visit.query, site.bank, site.urls, visit.lang))


def shown_guide(given: Mapping[str, str], bank: Bank, urls: Mapping[str, str], lang: Language) -> dict[str, Any]:
    """Return what guide.html shows for what stands in the address."""
    answers = read_answers(given, bank.policy)
    question = next_question(answers)
    return {
        "asked": None if question is None else _ask(question, answers, bank),
        "answered": [_Answered(one.value, answer, _without(answers, one)) for one, answer in answers.items()],
        "plan": _show(plan_for(answers), answers, urls, lang) if question is None else None,
        "forms": [] if answers else _forms(FormKind, lang),
        "days": bank.policy.acquisition_window.days,
        "branch_days": OVERDUE_AFTER.days,
        "begin": GUIDE,
    }


def _ask(question: Question, answers: Mapping[Question, str], bank: Bank) -> _Asked:
    questions = asked(answers)
    place = questions.index(question)
    return _Asked(
        name=question.value,
        number=place + 1,
        total=len(questions),
        choices=[
            _Choice(answer, guide_address({**answers, question: answer}))
            for answer in choices(question, answers, bank.policy)
        ],
        back=_without(answers, questions[place - 1]) if place else None,
    )


def _without(answers: Mapping[Question, str], question: Question) -> str:
    return guide_address({one: answer for one, answer in answers.items() if one is not question})


def _show(plan: Plan, answers: Mapping[Question, str], urls: Mapping[str, str], lang: Language) -> _ShownPlan:
    steps = [
        _ShownStep(
            step.do.value,
            None if step.who is None else step.who.value,
            None if step.page is None else urls[step.page[0]] + step.page[1],
            _forms(step.forms, lang),
        )
        for step in plan.steps
    ]
    return _ShownPlan(
        steps=steps,
        ready=[thing.value for thing in plan.ready],
        takes=plan.takes.value,
        notes=[note.value for note in plan.notes],
        back=_without(answers, asked(answers)[-1]),
    )


def _forms(kinds: Iterable[FormKind], lang: Language) -> list[_Form]:
    return [_Form(form_title(lang, kind), form_path(kind)) for kind in kinds]
