"""Somebody calls and wants something stopped: who they are is checked, put on record, and it is stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from sekisho.console.door import HOME, at_work
from sekisho.domain.errors import (
    ChoiceMissing,
    DetailsNotAllowed,
    FormExpired,
    FormWithoutEffect,
    IdentityNotConfirmed,
)
from sekisho.domain.telephone import ANSWERED_AT_LEAST, Answer, Question, Stop
from sekisho.usecases.find_contracts import WholeContract, read_contract
from sekisho.usecases.stop_by_telephone import STOPPING, stop_by_telephone
from sekisho.web import messages
from sekisho.web.endpoint import endpoint

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sekisho.domain.errors import Refusal
    from sekisho.domain.staff import Staff
    from sekisho.usecases.enter_console import AtWork
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit

_HERE = HOME + "/{contract_id}/telephone"
_FIELDS = ("what", "user_id", "call_back", *(question.value.replace("-", "_") for question in Question))


def telephone_routes(site: Site) -> list[BaseRoute]:
    """Return that page."""
    stopping = at_work(*STOPPING)
    return [
        Route(_HERE, endpoint(site, stopping(call_page)), methods=["GET"]),
        Route(_HERE, endpoint(site, stopping(take_call), turnstile=True), methods=["POST"]),
    ]


def can_stop(staff: Staff) -> bool:
    """Tell whether they stop what is asked for on the telephone."""
    return bool(staff.roles & STOPPING)


def call_page(visit: Visit, current: AtWork) -> Response:
    """Ask what is to be stopped and how the questions were answered; it counts as a look at the contract."""
    return _page(visit, current)


def take_call(visit: Visit, current: AtWork) -> Response:
    """Put the call on record, and stop what was asked for; what was typed stays where it is not taken."""
    contract_id = visit.path_values["contract_id"]
    typed = {name: visit.form.get(name, "") for name in _FIELDS}
    try:
        visit.check_form()
        stop_by_telephone(visit.site.ports, at_work=current, contract_id=contract_id, typed=typed)
    except FormExpired as refusal:
        return visit.back(f"{HOME}/{contract_id}/telephone", refusal)
    except (ChoiceMissing, DetailsNotAllowed, FormWithoutEffect, IdentityNotConfirmed) as refusal:
        return _page(visit, current, refusal)
    return visit.go(f"{HOME}/{contract_id}", done="stopped")


def _page(visit: Visit, current: AtWork, refusal: Refusal | None = None) -> Response:
    whole = read_contract(visit.site.ports, at_work=current, contract_id=visit.path_values["contract_id"])
    return visit.page(
        "console/telephone.html",
        refusal=refusal,
        status=200 if refusal is None else 400,
        staff=current.staff,
        contract=whole.contract,
        stops=[stop.value for stop in Stop],
        questions=[
            (question.value.replace("-", "_"), question.value, _known(visit, whole, question)) for question in Question
        ],
        answers=[answer.value for answer in Answer],
        at_least=ANSWERED_AT_LEAST,
        values=visit.form,
    )


def _known(visit: Visit, whole: WholeContract, question: Question) -> str:
    """Return the right answer, in the words of the screen."""
    lang = visit.lang
    match question:
        case Question.ADMINISTRATOR:
            return whole.people[0].person.name
        case Question.USERS:
            return str(len(whole.people) - 1)
        case Question.LAST_LOGON:
            logons = [(line.last_logon, line.person) for line in whole.people if line.last_logon is not None]
            if not logons:
                return messages.text(lang, "users.never")
            at, person = max(logons, key=lambda one: one[0])
            who = person.who.user_id or messages.text(lang, "kind.administrator")
            return f"{messages.datetime_text(lang, at)} {who}"
        case Question.BRANCH:
            branch = whole.contract.branch
            place = (
                messages.text(lang, "console.branch", branch=branch)
                if branch
                else messages.text(lang, "console.centre")
            )
            return f"{place} {messages.date_text(lang, whole.contract.registered_at)}"
