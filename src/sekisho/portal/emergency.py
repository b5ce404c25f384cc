"""緊急停止 of what is the person's own: their certificate, or for an administrator the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from sekisho.domain.errors import EntryRefused
from sekisho.domain.person import Kind
from sekisho.portal.secure import logged_on
from sekisho.usecases.emergency_stop import Demand, stop_certificate, stop_contract
from sekisho.web.endpoint import endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sekisho.usecases.resume_session import LoggedOn
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit

_PATH = "/emergency"
_STOPS = {"certificate": stop_certificate, "contract": stop_contract}
_OF = {Kind.ADMINISTRATOR: ("certificate", "contract"), Kind.USER: ("certificate",)}


def emergency_routes(site: Site) -> list[BaseRoute]:
    """Return the pages: what can be stopped, and for each a plain question before it is."""
    routes: list[BaseRoute] = [Route(_PATH, endpoint(site, logged_on(emergency_page)))]
    for what in () if site.kind is None else _OF[site.kind]:
        path = f"{_PATH}/{what}"
        routes += [
            Route(path, endpoint(site, logged_on(_question(what))), methods=["GET"]),
            Route(path, endpoint(site, logged_on(_stop(what))), methods=["POST"]),
        ]
    return routes


def emergency_page(visit: Visit, current: LoggedOn) -> Response:
    """Show what can be stopped."""
    return visit.page("emergency.html", person=current.person, stops=_OF[current.person.who.kind])


def _question(what: str) -> Callable[[Visit, LoggedOn], Response]:
    def ask(visit: Visit, current: LoggedOn) -> Response:
        return visit.page("emergency_confirm.html", person=current.person, what=what)

    return ask


def _stop(what: str) -> Callable[[Visit, LoggedOn], Response]:
    """Make what stops it. The session has ended then, and the door says why it is shut."""

    def stop(visit: Visit, current: LoggedOn) -> Response:
        site = visit.site
        try:
            visit.check_form()
        except EntryRefused as refusal:
            return visit.back(f"{_PATH}/{what}", refusal)
        demand = Demand(current.session, current.certificate.id, visit.address)
        _STOPS[what](site.ports, bank=site.bank, demand=demand)
        return visit.go("/")

    return stop
