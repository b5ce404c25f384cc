"""The administrator's request forms: filed on screen, followed, and withdrawn until the branch received them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.routing import Route

from sekisho.domain.errors import DoorClosed, EntryRefused, FormExpired, FormMoved, FormUnknown
from sekisho.domain.request_forms import CHANGED_FIELDS, OF_USERS, FormKind, FormState
from sekisho.portal.secure import logged_on
from sekisho.portal.users import confirmation
from sekisho.usecases.emergency_stop import Demand
from sekisho.usecases.file_form import ON_SCREEN, file_on_screen
from sekisho.usecases.own_forms import own_forms, withdraw_own_form
from sekisho.web import problems
from sekisho.web.endpoint import endpoint
from sekisho.web.form_words import form_title

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sekisho.domain.request_forms import RequestForm
    from sekisho.usecases.resume_session import LoggedOn
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit

_FORMS = "/contract/forms"
_NEW = "/contract/forms/new"
_WITHDRAW = "/contract/forms/withdraw"
_DONE = {"filed": "form-filed", "withdrawn": "form-withdrawn"}


@dataclass(frozen=True, slots=True)
class _Shown:
    number: str
    title: str
    whom: str
    state: str
    filed_at: datetime
    can_withdraw: bool


def request_form_routes(site: Site) -> list[BaseRoute]:
    """Return the administrator's pages of request forms."""

    def page(path: str, show: Callable[[Visit, LoggedOn], Response]) -> Route:
        return Route(path, endpoint(site, logged_on(show)), methods=["GET"])

    def form(path: str, take: Callable[[Visit, LoggedOn], Response]) -> Route:
        return Route(path, endpoint(site, logged_on(take), turnstile=True), methods=["POST"])

    return [page(_FORMS, _list), page(_NEW, _new), form(_NEW, _take_new), form(_WITHDRAW, _withdraw)]


def _list(visit: Visit, current: LoggedOn) -> Response:
    found = own_forms(visit.site.ports, administrator=current.person.who)
    return visit.page(
        "request_forms.html",
        person=current.person,
        forms=[_shown(visit, form) for form in found],
        done=_DONE.get(visit.query.get("done", "")),
    )


def _new(visit: Visit, current: LoggedOn) -> Response:
    chosen = visit.query.get("kind", "")
    return _ask(visit, current, FormKind(chosen) if chosen in ON_SCREEN else None)


def _take_new(visit: Visit, current: LoggedOn) -> Response:
    """File it; what was typed stays where it is not taken, secrets excepted."""
    site, chosen = visit.site, visit.form.get("kind", "")
    try:
        visit.check_form()
        file_on_screen(
            site.ports,
            bank=site.bank,
            confirmation=confirmation(visit, current),
            kind=chosen,
            user_id=visit.form.get("user_id", ""),
            detail={name: visit.form.get(name, "") for name in CHANGED_FIELDS},
        )
    except EntryRefused as refusal:
        return _ask(visit, current, FormKind(chosen) if chosen in ON_SCREEN else None, refusal)
    except DoorClosed as refusal:
        return visit.back("/", refusal)
    return visit.go(_FORMS, done="filed")


def _withdraw(visit: Visit, current: LoggedOn) -> Response:
    try:
        visit.check_form()
        demand = Demand(current.session, current.certificate.id, visit.address)
        number = visit.form.get("number", "")
        withdraw_own_form(visit.site.ports, bank=visit.site.bank, demand=demand, number=number)
    except (FormExpired, FormMoved, FormUnknown) as refusal:
        return visit.back(_FORMS, refusal)
    return visit.go(_FORMS, done="withdrawn")


def _ask(visit: Visit, current: LoggedOn, kind: FormKind | None, refusal: EntryRefused | None = None) -> Response:
    return visit.page(
        "request_form_new.html",
        person=current.person,
        refusal=refusal,
        status=200 if refusal is None else problems.status_of(refusal),
        kind=None if kind is None else kind.value,
        form_title=None if kind is None else form_title(visit.lang, kind),
        kinds=[(one.value, form_title(visit.lang, one)) for one in ON_SCREEN],
        of_users=kind in OF_USERS,
        changes=kind is FormKind.CONTRACT_CHANGE,
        values={name: value for name, value in visit.form.items() if name != "confirmation_pin"},
    )


def _shown(visit: Visit, form: RequestForm) -> _Shown:
    online = form.filed_online_by is not None
    return _Shown(
        number=form.number,
        title=form_title(visit.lang, form.kind),
        whom=form.user_id or "",
        state=form.state.value,
        filed_at=form.filed_at,
        can_withdraw=online and form.state is FormState.FILED,
    )
