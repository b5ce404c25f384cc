"""The screen 「暗証番号変更」 of both secure sites."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.routing import Route

from sekisho.domain.errors import DoorClosed, EntryRefused
from sekisho.domain.secret import PINS
from sekisho.portal.secure import JUST_NOW, PINS_PATH, logged_on
from sekisho.usecases.change_pins import AGAIN, NEW_FIELDS, PRESENT_FIELDS, PinEntries, change_pins
from sekisho.usecases.read_status import read_pins
from sekisho.web.endpoint import endpoint

if TYPE_CHECKING:
    from datetime import datetime

    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sekisho.usecases.resume_session import LoggedOn
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit

_CHANGED = "/pins/changed"


@dataclass(frozen=True, slots=True)
class _ShownPin:
    name: str
    set_at: datetime
    old: bool


def pins_routes(site: Site) -> list[BaseRoute]:
    """Return the pages on which PINs are replaced."""
    return [
        Route(PINS_PATH, endpoint(site, logged_on(pins_page)), methods=["GET"]),
        Route(PINS_PATH, endpoint(site, logged_on(take_pins), turnstile=True), methods=["POST"]),
        Route(_CHANGED, endpoint(site, logged_on(pins_changed_page))),
    ]


def pins_page(visit: Visit, current: LoggedOn) -> Response:
    """Ask for the present PINs and the new ones."""
    now, since = visit.site.ports.now(), read_pins(visit.site.ports, logged_on=current)
    age = visit.site.bank.policy.pin_age
    pins = [_ShownPin(name.value.replace("-", "_"), since[name], now - since[name] >= age) for name in PINS]
    return visit.page(
        "pins.html",
        person=current.person,
        kind=current.person.who.kind.value,
        pins=pins,
        pin_rules=visit.site.bank.policy.pin_rules,
        first=current.pins_to_replace,
    )


def take_pins(visit: Visit, current: LoggedOn) -> Response:
    """Replace what was typed anew and go to the page that tells so."""
    site = visit.site
    try:
        visit.check_form()
        change_pins(
            site.ports,
            bank=site.bank,
            session=current.session,
            certificate_id=current.certificate.id,
            entries=pin_entries(visit),
            address=visit.address,
        )
    except EntryRefused as refusal:
        return visit.back(PINS_PATH, refusal)
    except DoorClosed as refusal:
        return visit.back("/", refusal)
    return visit.go(_CHANGED)


def pin_entries(visit: Visit) -> PinEntries:
    """Return what was typed into the fields of the form."""
    return PinEntries(
        present={name: visit.form.get(field, "") for name, field in PRESENT_FIELDS.items()},
        new={name: visit.form.get(field, "") for name, field in NEW_FIELDS.items()},
        again={name: visit.form.get(field + AGAIN, "") for name, field in NEW_FIELDS.items()},
    )


def pins_changed_page(visit: Visit, current: LoggedOn) -> Response:
    """Tell that PINs were replaced, where that was just now."""
    since = read_pins(visit.site.ports, logged_on=current)
    if visit.site.ports.now() - max(since.values()) > JUST_NOW:
        return visit.go(PINS_PATH)
    return visit.page("pins_changed.html", person=current.person, done="pins-changed")
