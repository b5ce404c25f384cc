"""What both secure sites share: the logon, the status screen, the inbox, the way out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from starlette.routing import Route

from sekisho.domain.card import ASKED
from sekisho.domain.customer_card import CardState
from sekisho.domain.errors import DoorClosed, EntryRefused, SecondStepMissing, SessionRefused
from sekisho.domain.request_forms import FormState
from sekisho.domain.second_step import SecondStep
from sekisho.usecases.log_off import log_off
from sekisho.usecases.log_on import answer_card, enter_pin
from sekisho.usecases.meet_visitor import meet_visitor
from sekisho.usecases.read_second_steps import SecondSteps, read_second_steps
from sekisho.usecases.read_status import read_inbox, read_status
from sekisho.usecases.resume_session import LoggedOn, resume_session
from sekisho.usecases.service_hours import check_open, opens_next
from sekisho.web import cookies, messages
from sekisho.web.choose_another import choose_another
from sekisho.web.endpoint import endpoint
from sekisho.web.form_words import form_title
from sekisho.web.notice_words import notice_values

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sekisho.domain.certificate import Certificate
    from sekisho.domain.contract import Person
    from sekisho.domain.person import Kind
    from sekisho.domain.request_forms import RequestForm
    from sekisho.store.notices import Notice
    from sekisho.usecases.log_on import OpenedSession
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit


PINS_PATH = "/pins"
OPENING_PATH = "/opening"
# For so long a page that tells an outcome may be looked at again.
JUST_NOW = timedelta(minutes=10)
# Where each second step of an administrator's logon is taken.
STEP_PATH = {SecondStep.CARD: "/card", SecondStep.TOTP: "/totp", SecondStep.PASSKEY: "/passkey"}
OPENED = "contract-opened"


@dataclass(frozen=True, slots=True)
class ShownCertificate:
    """A certificate as the screens show it; `days_left` are whole days, `held` how its key is held."""

    common_name: str
    serial: int
    issued_at: datetime
    not_after: datetime
    days_left: int
    exportable: bool
    held: str


_EMERGENCY = "/emergency"


@dataclass(frozen=True, slots=True)
class OtherStep:
    """Another way to take the second step."""

    step: str
    href: str


@dataclass(frozen=True, slots=True)
class _ShownNotice:
    at: datetime
    title: str
    body: str
    unread: bool


@dataclass(frozen=True, slots=True)
class _Waiting:
    text: str
    href: str | None


def secure_routes(site: Site) -> list[BaseRoute]:
    """Return the pages that administrators and users have in common."""
    return [
        Route("/", endpoint(site, pin_page), methods=["GET"]),
        Route("/", endpoint(site, take_pin, turnstile=True), methods=["POST"]),
        Route("/status", endpoint(site, logged_on(status_page))),
        Route("/inbox", endpoint(site, logged_on(inbox_page))),
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


def _waiting_form(visit: Visit, form: RequestForm) -> _Waiting:
    key = "waiting.form-returned" if form.state is FormState.RETURNED else "waiting.form-under-way"
    title = form_title(visit.lang, form.kind)
    return _Waiting(messages.text(visit.lang, key, title=title, number=form.number), "/contract/forms")


def _stops(visit: Visit) -> bool:
    """Tell whether a form stops something at once (緊急停止), which waits for no hour."""
    of_user = visit.path == "/contract/users/confirm" and visit.query.get("step") == "stop"
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


def take_second_step(visit: Visit, step: SecondStep, answer: Callable[[LoggedOn], OpenedSession]) -> Response:
    """Take an answer to a second step and go to the status screen with the cookie of the complete logon."""
    current = resume(visit)
    if not current.session.positions:
        return visit.go("/status")
    try:
        visit.check_form()
        opened = answer(current)
    except EntryRefused as refusal:
        left = read_second_steps(visit.site.ports, bank=visit.site.bank, person=current.person)
        if step in left.offered:
            return visit.back(STEP_PATH[step], refusal)
        # It was taken away in another window; what is left is asked, and that is said there.
        return visit.back(STEP_PATH[left.first], SecondStepMissing())
    except DoorClosed as refusal:
        return visit.back("/", refusal)
    response = visit.go("/status")
    cookies.put(response, cookies.session_name(visit.site.name), cookies.write_token(opened.token))
    return response


def status_page(visit: Visit, current: LoggedOn) -> Response:
    """Show the status screen."""
    site = visit.site
    now = site.ports.now()
    status = read_status(site.ports, bank=site.bank, logged_on=current)
    waiting = [
        _Waiting(
            messages.text(
                visit.lang,
                "waiting.permit",
                user_id=permit.person.user_id or "",
                until=messages.date_text(visit.lang, permit.expires_at),
            ),
            "/contract/users",
        )
        for permit in status.waiting
        if permit.person.user_id is not None
    ]
    waiting += [_waiting_form(visit, form) for form in status.forms]
    if status.new_card is not None and status.new_card.expected_at is not None:
        key = "waiting.card-posted" if status.new_card.state is CardState.POSTED else "waiting.card-ordered"
        until = messages.date_text(visit.lang, status.new_card.expected_at)
        waiting.append(_Waiting(messages.text(visit.lang, key, until=until), None))
    if status.pins_old:
        days = site.bank.policy.pin_age.days
        waiting.insert(0, _Waiting(messages.text(visit.lang, "waiting.pins-old", days=days), PINS_PATH))
    opened_at = current.person.contract_opened_at
    just_opened = visit.query.get("done") == OPENED and opened_at is not None and now - opened_at <= JUST_NOW
    return visit.page(
        "status.html",
        done=OPENED if just_opened else None,
        person=current.person,
        kind=current.person.who.kind.value,
        last_logons=status.last_logons,
        certificate=shown(current.certificate, now),
        notices=[_notice(visit, notice, current.person) for notice in status.notices],
        waiting=waiting,
        renewal=None if status.renewal is None else status.renewal.value,
    )


def inbox_page(visit: Visit, current: LoggedOn) -> Response:
    """Show every notice; from then on they count as read."""
    inbox = read_inbox(visit.site.ports, logged_on=current)
    return visit.page(
        "inbox.html",
        person=current.person,
        notices=[_notice(visit, notice, current.person) for notice in inbox],
    )


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


def shown(certificate: Certificate, now: datetime) -> ShownCertificate:
    """Return a certificate as the screens show it."""
    return ShownCertificate(
        common_name=certificate.person.common_name,
        serial=certificate.serial,
        issued_at=certificate.issued_at,
        not_after=certificate.not_after,
        days_left=(certificate.not_after - now) // timedelta(days=1),
        exportable=certificate.exportable,
        held=certificate.held.value,
    )


def _notice(visit: Visit, notice: Notice, reader: Person) -> _ShownNotice:
    told = messages.notice(visit.lang, notice.code, **notice_values(notice, reader))
    return _ShownNotice(notice.at, told.title, told.body, unread=notice.read_at is None)
