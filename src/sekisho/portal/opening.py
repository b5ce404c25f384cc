"""The page 「開通確認」 of the administrators' site, the only one that an unopened contract has (J7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from sekisho.domain.errors import DoorClosed, EntryRefused, MailAway, OpeningStepDone
from sekisho.portal.pins import pin_entries
from sekisho.portal.secure import JUST_NOW, OPENED, OPENING_PATH, logged_on
from sekisho.usecases.open_contract import (
    Opener,
    OpeningStep,
    confirm_opening,
    enter_opening,
    mail_opening_code,
    opening_step,
)
from sekisho.web import problems
from sekisho.web.endpoint import endpoint
from sekisho.web.mails import code_mail

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sekisho.usecases.resume_session import LoggedOn
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit

_MAIL = "mail"


def opening_routes(site: Site) -> list[BaseRoute]:
    """Return the page on which a contract is opened, in two steps."""
    return [
        Route(OPENING_PATH, endpoint(site, logged_on(opening_page)), methods=["GET"]),
        Route(OPENING_PATH, endpoint(site, logged_on(take_opening), turnstile=True), methods=["POST"]),
    ]


def opening_page(visit: Visit, current: LoggedOn) -> Response:
    """Ask for what the opening needs next."""
    if current.person.contract_opened_at is not None:
        return visit.go("/status")
    return _show(visit, current)


def take_opening(visit: Visit, current: LoggedOn) -> Response:
    """Take one step; what was sent once more is told from what stands by now."""
    step, opened_at = visit.form.get("step"), current.person.contract_opened_at
    if opened_at is not None:
        just_opened = step == OpeningStep.CODE and visit.site.ports.now() - opened_at <= JUST_NOW
        return visit.go("/status", done=OPENED) if just_opened else visit.back("/status", OpeningStepDone())
    standing = opening_step(visit.site.ports, person=current.person)
    try:
        visit.check_form()
        if (step in {OpeningStep.CODE, _MAIL}) is not (standing is OpeningStep.CODE):
            raise OpeningStepDone  # noqa: TRY301 - told like every other refusal of the form
        if step == OpeningStep.CODE:
            _confirm(visit, current)
            return visit.go("/status", done=OPENED)
        if step == _MAIL:
            _mail_again(visit, current)
        else:
            _enter(visit, current)
    except (MailAway, OpeningStepDone) as refusal:
        return visit.back(OPENING_PATH, refusal)
    except EntryRefused as refusal:
        return _show(visit, current, refusal)
    except DoorClosed as refusal:
        return visit.back("/", refusal)
    return visit.go(OPENING_PATH)


def _enter(visit: Visit, current: LoggedOn) -> None:
    site = visit.site
    enter_opening(
        site.ports,
        bank=site.bank,
        opener=_opener(visit, current),
        registration_pin=visit.form.get("registration_pin", ""),
        pins=pin_entries(visit),
        mail_address=visit.form.get("mail_address", ""),
        mail=code_mail(site.ports, site.bank),
    )


def _mail_again(visit: Visit, current: LoggedOn) -> None:
    site = visit.site
    mail_opening_code(
        site.ports,
        bank=site.bank,
        opener=_opener(visit, current),
        mail_address=visit.form.get("mail_address", ""),
        mail=code_mail(site.ports, site.bank),
    )


def _confirm(visit: Visit, current: LoggedOn) -> None:
    site = visit.site
    code = visit.form.get("mailed_code", "")
    confirm_opening(site.ports, bank=site.bank, opener=_opener(visit, current), code=code)


def _opener(visit: Visit, current: LoggedOn) -> Opener:
    return Opener(current.session, current.certificate.id, visit.address)


def _show(visit: Visit, current: LoggedOn, refusal: EntryRefused | None = None) -> Response:
    """Show the step at which the opening stands.

    A refused one is answered with the page itself: mail addresses stay out of URLs.
    """
    standing = current.person.mail_address or ""
    return visit.page(
        "opening.html",
        person=current.person,
        refusal=refusal,
        status=200 if refusal is None else problems.status_of(refusal),
        step=opening_step(visit.site.ports, person=current.person).value,
        mail_address=standing,
        pin_rules=visit.site.bank.policy.pin_rules,
        values={"mail_address": visit.form.get("mail_address", standing)},
    )
