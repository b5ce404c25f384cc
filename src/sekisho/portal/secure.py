"""What both secure sites share: the door, the logon, the way out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from starlette.routing import Route

from sekisho.domain.card import ASKED
from sekisho.domain.errors import DoorClosed, EntryRefused, SecondStepMissing, SessionRefused
from sekisho.domain.second_step import SecondStep
from sekisho.portal.shown import shown
from sekisho.usecases.log_off import log_off
from sekisho.usecases.log_on import answer_card, enter_pin
from sekisho.usecases.meet_visitor import meet_visitor
from sekisho.usecases.read_second_steps import SecondSteps, read_second_steps
from sekisho.usecases.resume_session import LoggedOn, resume_session
from sekisho.usecases.service_hours import check_open, opens_next
from sekisho.web import cookies, messages
from sekisho.web.choose_another import choose_another
from sekisho.web.endpoint import endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sekisho.domain.person import Kind
    from sekisho.usecases.log_on import OpenedSession
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit


PINS_PATH = "/pins"
MAIL_ADDRESS_PATH = "/mail-address"
OPENING_PATH = "/opening"
# For so long a page that tells an outcome may be looked at again.
JUST_NOW = timedelta(minutes=10)
# Where each second step of an administrator's logon is taken.
STEP_PATH = {
    SecondStep.CARD: "/card",
    SecondStep.TOTP: "/totp",
    SecondStep.PASSKEY: "/passkey",
    SecondStep.INTERIM: "/interim",
}
OPENED = "contract-opened"


_EMERGENCY = "/emergency"


@dataclass(frozen=True, slots=True)
class OtherStep:
    """Another way to take the second step."""

    step: str
    href: str


def secure_routes(site: Site) -> list[BaseRoute]:
    """Return the pages that administrators and users have in common."""
    return [
        Route("/", endpoint(site, pin_page), methods=["GET"]),
        Route("/", endpoint(site, take_pin, turnstile=True), methods=["POST"]),
        Route("/logoff", endpoint(site, take_logoff), methods=["POST"]),
        Route("/logged-off", endpoint(site, logged_off_page)),
        Route("/choose-another", endpoint(site, choose_another), methods=["POST"]),
    ]


def card_routes(site: Site) -> list[BaseRoute]:
    """Return an administrator's second step."""
    return [
        Route("/card", endpoint(site, card_page), methods=["GET"]),
        Route("/card", endpoint(site, take_card), methods=["POST"]),
    ]


def logged_on(handler: Callable[[Visit, LoggedOn], Response]) -> Callable[[Visit], Response]:
    """Make a handler that is reached with a complete logon, PINs of one's own and an open contract only."""

    def check(visit: Visit) -> Response:
        current = resume(visit)
        if current.session.positions:
            return visit.go(STEP_PATH[SecondStep.CARD])
        if visit.path.startswith(_EMERGENCY) and opens_next(visit.site.bank.policy, visit.site.ports.now()):
            # What has to be done first cannot be done before the service opens.
            return handler(visit, current)
        if current.person.contract_opened_at is None and visit.path != OPENING_PATH:
            return visit.go(OPENING_PATH)
        if current.pins_to_replace and visit.path != PINS_PATH:
            return visit.go(PINS_PATH)
        if visit.method == "POST" and not _stops(visit):
            check_open(visit.site.bank.policy, visit.site.ports.now())
        return handler(visit, current)

    return check


def _stops(visit: Visit) -> bool:
    """Tell whether a form stops something at once (緊急停止), which waits for no hour.

    It is the form that says what is done about a user, whatever its address says.
    """
    of_user = visit.path == "/contract/users/confirm" and visit.form.get("step") == "stop"
    return of_user or visit.path.startswith(f"{_EMERGENCY}/")


def resume(visit: Visit) -> LoggedOn:
    """Return who is logged on, their logon complete or not, or raise why nobody is."""
    site = visit.site
    return resume_session(site.ports, bank=site.bank, kind=_kind(site), der=visit.der, token=visit.token)


def _kind(site: Site) -> Kind:
    if site.kind is None:
        raise RuntimeError("a secure page on a site without a door")
    return site.kind


def pin_page(visit: Visit) -> Response:
    """Ask for the PIN, once the certificate and the door have been found good."""
    site = visit.site
    certificate, now = meet_visitor(site.ports, bank=site.bank, kind=_kind(site), der=visit.der)
    return visit.page("pin.html", kind=_kind(site).value, certificate=shown(certificate, now))


def take_pin(visit: Visit) -> Response:
    """Take the PIN: a user is logged on then, an administrator is asked for the card."""
    site = visit.site
    try:
        visit.check_form()
        opened = enter_pin(
            site.ports,
            bank=site.bank,
            kind=_kind(site),
            der=visit.der,
            pin=visit.entry("pin"),
            address=visit.address,
            language=visit.lang if visit.lang_chosen else None,
        )
    except (EntryRefused, DoorClosed) as refusal:
        return visit.back("/", refusal)
    response = visit.go("/status" if opened.step is None else STEP_PATH[opened.step])
    cookies.put(response, cookies.session_name(site.name), cookies.write_token(opened.token))
    return response


def card_page(visit: Visit) -> Response:
    """Ask for four digits of the card."""

    def ask(current: LoggedOn, steps: SecondSteps) -> Response:
        positions = current.session.positions
        refused = visit.refused()
        errors = {
            f"digit_{n}": messages.field_text(visit.lang, refused[2][f"digit_{n}"], "label.digit", n=position)
            for n, position in enumerate(positions, 1)
            if refused is not None and f"digit_{n}" in refused[2]
        }
        others = other_steps(steps, SecondStep.CARD)
        return visit.page("card.html", positions=list(positions), errors=errors, others=others)

    return ask_second_step(visit, SecondStep.CARD, ask)


def take_card(visit: Visit) -> Response:
    """Take the digits; the logon is complete then."""

    def answer(current: LoggedOn) -> OpenedSession:
        return answer_card(
            visit.site.ports,
            bank=visit.site.bank,
            certificate=current.certificate,
            session=current.session,
            digits=[visit.form.get(f"digit_{n}", "") for n in range(1, ASKED + 1)],
            address=visit.address,
            language=visit.lang if visit.lang_chosen else None,
        )

    return take_second_step(visit, SecondStep.CARD, answer)


def other_steps(steps: SecondSteps, but: SecondStep) -> list[OtherStep]:
    """Return the second steps that the person may take in place of one."""
    return [OtherStep(step.value, STEP_PATH[step]) for step in steps.offered if step is not but]


def ask_second_step(visit: Visit, step: SecondStep, ask: Callable[[LoggedOn, SecondSteps], Response]) -> Response:
    """Show the page that asks for a second step; where the person cannot take that one, go to one that they can."""
    current = resume(visit)
    if not current.session.positions:
        return visit.go("/status")
    steps = read_second_steps(visit.site.ports, bank=visit.site.bank, person=current.person)
    return ask(current, steps) if step in steps.offered else visit.go(STEP_PATH[steps.first])


def take_second_step(
    visit: Visit, step: SecondStep, answer: Callable[[LoggedOn], OpenedSession], *, at: str | None = None
) -> Response:
    """Take an answer to a second step and go to the status screen with the cookie of the complete logon.

    `at` is where a refused answer is typed anew, the step's own page by default.
    """
    current = resume(visit)
    if not current.session.positions:
        return visit.go("/status")
    try:
        visit.check_form()
        opened = answer(current)
    except EntryRefused as refusal:
        left = read_second_steps(visit.site.ports, bank=visit.site.bank, person=current.person)
        if step in left.offered:
            return visit.back(at or STEP_PATH[step], refusal)
        # It was taken away in another window; what is left is asked, and that is said there.
        return visit.back(STEP_PATH[left.first], SecondStepMissing())
    except DoorClosed as refusal:
        return visit.back("/", refusal)
    response = visit.go("/status")
    cookies.put(response, cookies.session_name(visit.site.name), cookies.write_token(opened.token))
    return response


def take_logoff(visit: Visit) -> Response:
    """Log off. Whoever is not logged on any more gets there as well."""
    try:
        current = resume(visit)
        visit.check_form()
        log_off(visit.site.ports, session=current.session, address=visit.address)
    except SessionRefused:
        pass
    response = visit.go("/logged-off")
    cookies.drop(response, cookies.session_name(visit.site.name))
    return response


def logged_off_page(visit: Visit) -> Response:
    """Say that nobody is logged on here any more."""
    return visit.page("logged_off.html")
