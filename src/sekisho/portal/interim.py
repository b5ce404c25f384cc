"""The second step of an administrator's logon by a code from the branch, with which an app is set up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from sekisho.domain.errors import DoorClosed, EntryRefused, SecondStepMissing
from sekisho.domain.second_step import SecondStep
from sekisho.portal.new_app import new_app
from sekisho.portal.secure import STEP_PATH, ask_second_step, other_steps, resume, take_second_step
from sekisho.usecases.interim_step import enter_interim, interim_app, take_interim_app
from sekisho.web.endpoint import endpoint

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sekisho.usecases.log_on import OpenedSession
    from sekisho.usecases.read_second_steps import SecondSteps
    from sekisho.usecases.resume_session import LoggedOn
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit

_HERE = STEP_PATH[SecondStep.INTERIM]
_APP = f"{_HERE}/app"


def interim_routes(site: Site) -> list[BaseRoute]:
    """Return the pages about the branch's code."""
    return [
        Route(_HERE, endpoint(site, code_page), methods=["GET"]),
        Route(_HERE, endpoint(site, take_code, turnstile=True), methods=["POST"]),
        Route(_APP, endpoint(site, app_page), methods=["GET"]),
        Route(_APP, endpoint(site, take_app), methods=["POST"]),
    ]


def code_page(visit: Visit) -> Response:
    """Ask for the code that the branch gave."""

    def ask(_current: LoggedOn, steps: SecondSteps) -> Response:
        return visit.page("interim.html", others=other_steps(steps, SecondStep.INTERIM))

    return ask_second_step(visit, SecondStep.INTERIM, ask)


def take_code(visit: Visit) -> Response:
    """Take it, and go on to the app."""
    current = resume(visit)
    if not current.session.positions:
        return visit.go("/status")
    try:
        visit.check_form()
        code = visit.entry("interim_code")
        enter_interim(visit.site.ports, bank=visit.site.bank, current=current, code=code, address=visit.address)
    except EntryRefused as refusal:
        return visit.back(_HERE, refusal)
    except DoorClosed as refusal:
        return visit.back("/", refusal)
    return visit.go(_APP)


def app_page(visit: Visit) -> Response:
    """Show the app's secret, and ask for its first code."""

    def ask(current: LoggedOn, _steps: SecondSteps) -> Response:
        try:
            secret = interim_app(visit.site.ports, current=current)
        except SecondStepMissing:
            return visit.go(_HERE)
        return visit.page("interim_app.html", app=new_app(visit, current, secret))

    return ask_second_step(visit, SecondStep.INTERIM, ask)


def take_app(visit: Visit) -> Response:
    """Take the app in use; the logon is complete then."""

    def answer(current: LoggedOn) -> OpenedSession:
        return take_interim_app(
            visit.site.ports,
            bank=visit.site.bank,
            current=current,
            code=visit.entry("code"),
            shown=visit.form.get("shown", ""),
            address=visit.address,
            language=visit.lang if visit.lang_chosen else None,
        )

    return take_second_step(visit, SecondStep.INTERIM, answer, at=_APP)
