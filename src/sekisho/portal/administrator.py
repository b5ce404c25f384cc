"""The administrators' secure site: the menu ご契約先管理情報変更 and the users' certificates (J2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from starlette.routing import Route

from sekisho.domain.errors import (
    ChoiceMissing,
    DoorClosed,
    EntryRefused,
    UserUnknown,
)
from sekisho.domain.person import Kind
from sekisho.portal.emergency import emergency_routes
from sekisho.portal.interim import interim_routes
from sekisho.portal.mail_address import mail_address_routes
from sekisho.portal.many_users import many_routes
from sekisho.portal.opening import opening_routes
from sekisho.portal.pins import pins_routes
from sekisho.portal.renewal import renewal_routes
from sekisho.portal.request_forms import request_form_routes
from sekisho.portal.second_steps import second_step_routes
from sekisho.portal.secure import card_routes, logged_on, secure_routes
from sekisho.portal.sessions import sessions_routes
from sekisho.portal.shown import ShownCertificate, shown
from sekisho.portal.status import status_routes
from sekisho.portal.user_list import user_list
from sekisho.portal.users import USERS, steps_for, users_routes
from sekisho.usecases.change_user import Change, permit_reissue, revoke_of_user
from sekisho.usecases.read_users import UserLine, read_user, read_users
from sekisho.web import messages
from sekisho.web.endpoint import endpoint
from sekisho.web.site_app import site_app

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sekisho.portal.issuing import Chains
    from sekisho.usecases.resume_session import LoggedOn
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit

_DAY = timedelta(days=1)
_CHANGE = "/contract/users/change"
_CHANGED = "/contract/users/changed"


@dataclass(frozen=True, slots=True)
class ShownUser:
    """A user with their certificate as the screens show them."""

    user_id: str
    name: str
    state: str
    state_text: str
    not_after: datetime | None
    permit_until: datetime | None
    permit_days: int
    last_logon: datetime | None
    exportable: bool
    certificate: ShownCertificate | None
    address: str | None
    computer: str | None


def administrator_app(site: Site, *, chains: Chains, est: Sequence[BaseRoute]) -> Starlette:
    """Return the administrators' site. `chains` holds what stands above certificates."""
    routes = [
        *secure_routes(site),
        *status_routes(site),
        *card_routes(site),
        *opening_routes(site),
        *pins_routes(site),
        *mail_address_routes(site),
        *emergency_routes(site),
        *sessions_routes(site),
        *second_step_routes(site),
        *interim_routes(site),
        *renewal_routes(site, Kind.ADMINISTRATOR, chains),
        Route("/contract", endpoint(site, logged_on(contract_page))),
        Route(USERS, endpoint(site, logged_on(users_page))),
        Route(_CHANGE, endpoint(site, logged_on(change_page)), methods=["GET"]),
        Route(_CHANGE, endpoint(site, logged_on(take_change), turnstile=True), methods=["POST"]),
        Route(_CHANGED, endpoint(site, logged_on(changed_page))),
        *users_routes(site),
        *request_form_routes(site),
        *many_routes(site, _shown),
        *est,
    ]
    return site_app(site, routes)


def contract_page(visit: Visit, current: LoggedOn) -> Response:
    """Show the menu."""
    return visit.page("contract.html", person=current.person)


def users_page(visit: Visit, current: LoggedOn) -> Response:
    """Show the users, one of whom is to be chosen."""
    users = read_users(visit.site.ports, administrator=current.person.who)
    shown_list = user_list(users, visit.query)
    return visit.page(
        "users.html",
        person=current.person,
        users=[_shown(visit, line) for line in shown_list.lines],
        list=shown_list,
        values=visit.query,
    )


def change_page(visit: Visit, current: LoggedOn) -> Response:
    """Show one user and what can be done about their certificate."""
    if not visit.query.get("user_id"):
        return visit.back(USERS, ChoiceMissing(fields={"user_id": "choice-missing"}))
    try:
        line = read_user(visit.site.ports, administrator=current.person.who, user_id=visit.query["user_id"])
    except UserUnknown as refusal:
        return visit.back(USERS, refusal)
    values = {"action": visit.query.get("action", "")}
    return visit.page(
        "user_change.html", person=current.person, user=_shown(visit, line), values=values, steps=steps_for(line)
    )


def take_change(visit: Visit, current: LoggedOn) -> Response:
    """Carry out 「継続」, 「再発行」 or 「失効」 and go to the page that tells the outcome."""
    user_id = visit.form.get("user_id", "")
    action = visit.form.get("action", "")
    try:
        visit.check_form()
        if action == "keep":
            return visit.go(_CHANGED, user_id=user_id, action=action)
        if action not in {"reissue", "revoke"}:
            raise ChoiceMissing(fields={"action": "choice-missing"})
        change = Change(
            session=current.session,
            certificate_id=current.certificate.id,
            user_id=user_id,
            confirmation_pin=visit.entry("confirmation_pin"),
            address=visit.address,
        )
        if action == "reissue":
            permit_reissue(visit.site.ports, bank=visit.site.bank, change=change)
        else:
            revoke_of_user(visit.site.ports, bank=visit.site.bank, change=change)
    except UserUnknown as refusal:
        return visit.back(USERS, refusal)
    except EntryRefused as refusal:
        return visit.back(_CHANGE, refusal, user_id=user_id, action=action)
    except DoorClosed as refusal:
        return visit.back("/", refusal)
    return visit.go(_CHANGED, user_id=user_id, action=action)


def changed_page(visit: Visit, current: LoggedOn) -> Response:
    """Tell what became of the user's certificate, from what stands in the table now."""
    try:
        line = read_user(visit.site.ports, administrator=current.person.who, user_id=visit.query.get("user_id", ""))
    except UserUnknown as refusal:
        return visit.back(USERS, refusal)
    action = visit.query.get("action", "")
    outcome = "unchanged"
    if action == "reissue" and line.permit is not None:
        outcome = "certificate-reissued"
    elif action == "revoke" and line.permit is None and (line.certificate is None or line.certificate.ended_at):
        outcome = "certificate-revoked"
    return visit.page(
        "user_changed.html",
        person=current.person,
        user=_shown(visit, line),
        action=action if action in {"keep", "reissue", "revoke"} else "keep",
        done=outcome,
        permit_until=None if line.permit is None else line.permit.expires_at,
        permit_days=None if line.permit is None else (line.permit.expires_at - visit.site.ports.now()) // _DAY,
    )


def _shown(visit: Visit, line: UserLine) -> ShownUser:
    certificate = line.certificate
    in_force = certificate is not None and not certificate.over
    return ShownUser(
        user_id=line.person.who.user_id or "",
        name=line.person.name,
        state=line.state.value,
        state_text=messages.certificate_state(visit.lang, line.state.value),
        not_after=certificate.not_after if certificate is not None and in_force else None,
        permit_until=None if line.permit is None else line.permit.expires_at,
        permit_days=0 if line.permit is None else (line.permit.expires_at - visit.site.ports.now()) // _DAY,
        last_logon=line.last_logon,
        exportable=certificate is not None and in_force and certificate.exportable,
        certificate=None if certificate is None else shown(certificate, visit.site.ports.now()),
        address=None if line.origin is None else line.origin.address,
        computer=None if line.origin is None else line.origin.computer,
    )
