"""The console's door: certificate and PIN in, a session of its own, and out again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.routing import Route

from sekisho.domain.errors import DoorClosed, EntryRefused, SessionRefused
from sekisho.domain.staff import Role
from sekisho.usecases.enter_console import AtWork, enter_staff_pin, leave_console, meet_staff, resume_work
from sekisho.web import cookies
from sekisho.web.endpoint import endpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sekisho.web.site import Site
    from sekisho.web.visit import Visit

HOME = "/contracts"
POLICY = "/policy"
EVERYBODY = tuple(role for role in Role if role is not Role.SYSTEM)
# Who looks at customers. Changing the bank's rules takes no look at any.
READERS = tuple(role for role in EVERYBODY if role is not Role.KEEPER)


@dataclass(frozen=True, slots=True)
class _Shown:
    common_name: str
    serial: int
    not_after: datetime


def door_routes(site: Site) -> list[BaseRoute]:
    """Return the way in and the way out."""
    return [
        Route("/", endpoint(site, pin_page), methods=["GET"]),
        Route("/", endpoint(site, take_pin, turnstile=True), methods=["POST"]),
        Route("/logoff", endpoint(site, take_logoff), methods=["POST"]),
        Route("/logged-off", endpoint(site, logged_off_page)),
    ]


def at_work(*roles: Role) -> Callable[[Callable[[Visit, AtWork], Response]], Callable[[Visit], Response]]:
    """Make a handler that is reached by somebody who is logged on and has one of the roles at this moment."""

    def of(handler: Callable[[Visit, AtWork], Response]) -> Callable[[Visit], Response]:
        def check(visit: Visit) -> Response:
            current = resume(visit)
            current.staff.require(*roles)
            return handler(visit, current)

        return check

    return of


def resume(visit: Visit) -> AtWork:
    """Return who is logged on, or raise why nobody is."""
    site = visit.site
    return resume_work(site.ports, bank=site.bank, der=visit.der, token=visit.token, address=visit.address)


def pin_page(visit: Visit) -> Response:
    """Ask for the PIN, once the certificate and the door have been found good."""
    visitor = meet_staff(visit.site.ports, bank=visit.site.bank, der=visit.der)
    shown = _Shown(f"{visitor.staff.staff_id} {visitor.staff.name}", visitor.serial, visitor.not_after)
    return visit.page("console/pin.html", certificate=shown)


def take_pin(visit: Visit) -> Response:
    """Take the PIN and go to work."""
    site = visit.site
    try:
        visit.check_form()
        token = enter_staff_pin(
            site.ports, bank=site.bank, der=visit.der, pin=visit.entry("staff_pin"), address=visit.address
        )
    except (EntryRefused, DoorClosed) as refusal:
        return visit.back("/", refusal)
    response = visit.go(HOME)
    cookies.put(response, cookies.session_name(site.name), cookies.write_token(token))
    return response


def take_logoff(visit: Visit) -> Response:
    """Log off. Whoever is not logged on any more gets there as well."""
    try:
        current = resume(visit)
        visit.check_form()
        leave_console(visit.site.ports, bank=visit.site.bank, at_work=current)
    except SessionRefused:
        pass
    response = visit.go("/logged-off")
    cookies.drop(response, cookies.session_name(visit.site.name))
    return response


def logged_off_page(visit: Visit) -> Response:
    """Say that nobody is logged on here any more."""
    return visit.page("console/logged_off.html")
