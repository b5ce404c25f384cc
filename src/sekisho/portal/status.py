"""The status screen of both secure sites, and the inbox."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.routing import Route

from sekisho.domain.customer_card import CardState
from sekisho.domain.request_forms import FormState
from sekisho.portal.secure import JUST_NOW, MAIL_ADDRESS_PATH, OPENED, PINS_PATH, logged_on
from sekisho.portal.shown import shown
from sekisho.usecases.read_status import Status, read_inbox, read_status
from sekisho.web import messages
from sekisho.web.endpoint import endpoint
from sekisho.web.form_words import form_title
from sekisho.web.notice_words import notice_values

if TYPE_CHECKING:
    from datetime import datetime

    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sekisho.domain.contract import Person
    from sekisho.domain.request_forms import RequestForm
    from sekisho.store.notices import Notice
    from sekisho.usecases.resume_session import LoggedOn
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit


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


def status_routes(site: Site) -> list[BaseRoute]:
    """Return the status screen and the inbox."""
    return [
        Route("/status", endpoint(site, logged_on(status_page))),
        Route("/inbox", endpoint(site, logged_on(inbox_page))),
    ]


def status_page(visit: Visit, current: LoggedOn) -> Response:
    """Show the status screen."""
    site = visit.site
    now = site.ports.now()
    status = read_status(site.ports, bank=site.bank, logged_on=current)
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
        unread=status.unread,
        waiting=_waiting(visit, current, status),
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


def _waiting(visit: Visit, current: LoggedOn, status: Status) -> list[_Waiting]:
    """Return what waits for the person, or is under way for them."""
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
        days = visit.site.bank.policy.pin_age.days
        waiting.insert(0, _Waiting(messages.text(visit.lang, "waiting.pins-old", days=days), PINS_PATH))
    if not current.person.mail_confirmed:
        key = "waiting.mail-unconfirmed" if current.person.mail_address else "waiting.mail-missing"
        waiting.append(_Waiting(messages.text(visit.lang, key), MAIL_ADDRESS_PATH))
    return waiting


def _waiting_form(visit: Visit, form: RequestForm) -> _Waiting:
    key = "waiting.form-returned" if form.state is FormState.RETURNED else "waiting.form-under-way"
    title = form_title(visit.lang, form.kind)
    return _Waiting(messages.text(visit.lang, key, title=title, number=form.number), "/contract/forms")


def _notice(visit: Visit, notice: Notice, reader: Person) -> _ShownNotice:
    told = messages.notice(visit.lang, notice.code, **notice_values(notice, reader))
    return _ShownNotice(notice.at, told.title, told.body, unread=notice.read_at is None)
