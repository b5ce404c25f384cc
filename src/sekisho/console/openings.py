"""A request for a new contract is received at the console (J7, J11)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from sekisho.console.door import at_work
from sekisho.console.forms import FORMS
from sekisho.domain.errors import DetailsNotAllowed, FormExpired
from sekisho.domain.request_forms import Step, roles_for
from sekisho.usecases.file_opening import FIELDS, file_opening
from sekisho.web.endpoint import endpoint

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sekisho.usecases.enter_console import AtWork
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit

OPENINGS = "/openings"


def opening_routes(site: Site) -> list[BaseRoute]:
    """Return the page on which such a form is received."""
    receiving = at_work(*roles_for(Step.RECEIVE))
    return [
        Route(OPENINGS, endpoint(site, receiving(new_page)), methods=["GET"]),
        Route(OPENINGS, endpoint(site, receiving(take_new), turnstile=True), methods=["POST"]),
    ]


def new_page(visit: Visit, current: AtWork) -> Response:
    """Ask for what stands on the form."""
    return visit.page("console/opening_new.html", staff=current.staff)


def take_new(visit: Visit, current: AtWork) -> Response:
    """File it; what was typed stays where it is not taken."""
    try:
        visit.check_form()
        typed = {name: visit.form.get(name, "") for name in (*FIELDS, "branch")}
        number = file_opening(visit.site.ports, at_work=current, typed=typed)
    except FormExpired as refusal:
        return visit.back(OPENINGS, refusal)
    except DetailsNotAllowed as refusal:
        return visit.page(
            "console/opening_new.html", refusal=refusal, status=400, staff=current.staff, values=visit.form
        )
    return visit.go(f"{FORMS}/{number}", done=Step.RECEIVE.value)
