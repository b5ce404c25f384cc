"""The page 「メールアドレス変更」 of both secure sites."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from sekisho.domain.errors import DoorClosed, EntryRefused, MailAddressCodeWrong, MailAway
from sekisho.portal.secure import JUST_NOW, MAIL_ADDRESS_PATH, logged_on
from sekisho.usecases.change_mail_address import ask_new_address, read_address_change, take_new_address
from sekisho.usecases.confirm import Confirmation
from sekisho.web import problems
from sekisho.web.endpoint import endpoint
from sekisho.web.mails import code_mail

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sekisho.domain.errors import Refusal
    from sekisho.usecases.resume_session import LoggedOn
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit

_CHANGED = "/mail-address/changed"
_CODE = "code"


def mail_address_routes(site: Site) -> list[BaseRoute]:
    """Return the page on which a mail address is changed, in two steps, and the one that tells so."""
    return [
        Route(MAIL_ADDRESS_PATH, endpoint(site, logged_on(mail_address_page)), methods=["GET"]),
        Route(MAIL_ADDRESS_PATH, endpoint(site, logged_on(take_step), turnstile=True), methods=["POST"]),
        Route(_CHANGED, endpoint(site, logged_on(changed_page))),
    ]


def mail_address_page(visit: Visit, current: LoggedOn) -> Response:
    """Ask for a new address, or for the code that went there."""
    return _show(visit, current)


def take_step(visit: Visit, current: LoggedOn) -> Response:
    """Take one step. A code that is sent once more is answered with what it has brought about."""
    takes_code = visit.form.get("step") == _CODE
    try:
        visit.check_form()
        if not takes_code:
            _ask(visit, current)
        elif not _just_changed(visit, current):
            _take(visit, current)
    except MailAddressCodeWrong as refusal:
        # Of two that were sent at once the slower one finds the code spent.
        if not _just_changed(visit, current):
            return _show(visit, current, refusal)
    except (EntryRefused, MailAway) as refusal:
        return _show(visit, current, refusal)
    except DoorClosed as refusal:
        return visit.back("/", refusal)
    return visit.go(_CHANGED if takes_code else MAIL_ADDRESS_PATH)


def changed_page(visit: Visit, current: LoggedOn) -> Response:
    """Tell that the address was changed, where that was just now."""
    if not _just_changed(visit, current):
        return visit.go(MAIL_ADDRESS_PATH)
    mail_address = current.person.mail_address
    return visit.page(
        "mail_address_changed.html", person=current.person, done="mail-address-changed", mail_address=mail_address
    )


def _ask(visit: Visit, current: LoggedOn) -> None:
    site = visit.site
    ask_new_address(
        site.ports,
        bank=site.bank,
        confirmation=Confirmation(
            current.session, current.certificate.id, visit.form.get("confirmation_pin", ""), visit.address
        ),
        mail_address=visit.form.get("new_mail_address", ""),
        mail=code_mail(site.ports, site.bank),
    )


def _take(visit: Visit, current: LoggedOn) -> None:
    site = visit.site
    code = visit.form.get("mailed_code", "")
    take_new_address(site.ports, bank=site.bank, logged_on=current, code=code, address=visit.address)


def _just_changed(visit: Visit, current: LoggedOn) -> bool:
    change = read_address_change(visit.site.ports, bank=visit.site.bank, person_id=current.person.id)
    return (
        change.waiting is None
        and change.changed_at is not None
        and visit.site.ports.now() - change.changed_at <= JUST_NOW
    )


def _show(visit: Visit, current: LoggedOn, refusal: Refusal | None = None) -> Response:
    """Show the step at which the change stands.

    A refused one is answered with the page itself: mail addresses stay out of URLs.
    """
    change = read_address_change(visit.site.ports, bank=visit.site.bank, person_id=current.person.id)
    response = visit.page(
        "mail_address.html",
        person=current.person,
        refusal=refusal,
        status=200 if refusal is None else problems.status_of(refusal),
        kind=current.person.who.kind.value,
        waiting=change.waiting,
        present=change.present,
        confirmed=change.confirmed,
        values={"new_mail_address": visit.form.get("new_mail_address", change.waiting or "")},
    )
    response.headers.update({} if refusal is None else problems.headers_of(refusal))
    return response
