"""The page on which somebody of the bank replaces their own PIN."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from sekisho.console.door import EVERYBODY, at_work
from sekisho.domain.errors import DoorClosed, EntryRefused
from sekisho.usecases.change_staff_pin import change_staff_pin
from sekisho.web.endpoint import endpoint

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sekisho.usecases.enter_console import AtWork
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit

PIN = "/pin"


def pin_routes(site: Site) -> list[BaseRoute]:
    """Return that page."""
    everybody = at_work(*EVERYBODY)
    return [
        Route(PIN, endpoint(site, everybody(pin_page)), methods=["GET"]),
        Route(PIN, endpoint(site, everybody(take_pin), turnstile=True), methods=["POST"]),
    ]


def pin_page(visit: Visit, current: AtWork) -> Response:
    """Ask for the present PIN and a new one."""
    done = "staff-pin-changed" if visit.query.get("done") else None
    rules = visit.site.bank.policy.pin_rules
    return visit.page("console/pin_change.html", staff=current.staff, pin_rules=rules, done=done)


def take_pin(visit: Visit, current: AtWork) -> Response:
    """Replace it."""
    try:
        visit.check_form()
        change_staff_pin(
            visit.site.ports,
            bank=visit.site.bank,
            at_work=current,
            der=visit.der,
            present=visit.form.get("staff_pin", ""),
            new=visit.form.get("new_staff_pin", ""),
            again=visit.form.get("new_staff_pin_again", ""),
        )
    except EntryRefused as refusal:
        return visit.back(PIN, refusal)
    except DoorClosed as refusal:
        return visit.back("/", refusal)
    return visit.go(PIN, done="changed")
