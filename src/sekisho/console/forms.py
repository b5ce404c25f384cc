"""Request forms at the console: those under way, filing one at the counter, and moving it on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.routing import Route

from sekisho.console.door import HOME, READERS, at_work
from sekisho.domain.errors import (
    ChoiceMissing,
    ContractIdTaken,
    DetailsNotAllowed,
    FormExpired,
    FormMoved,
    FormUnknown,
    FormWithoutEffect,
    FourEyes,
)
from sekisho.domain.request_forms import CHANGED_FIELDS, ENDED, OF_USERS, FormKind, RequestForm, Step, roles_for, row_of
from sekisho.domain.secret import normal_form
from sekisho.usecases.carry_out_form import carry_out_form
from sekisho.usecases.file_form import AT_COUNTER, file_at_counter, read_kind
from sekisho.usecases.find_contracts import visible_contract
from sekisho.usecases.move_form import move_form
from sekisho.usecases.read_forms import read_form, waiting_forms
from sekisho.web import messages
from sekisho.web.endpoint import endpoint
from sekisho.web.form_words import form_title
from sekisho.web.slips import slip_link, slip_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sekisho.domain.staff import Staff
    from sekisho.usecases.enter_console import AtWork
    from sekisho.usecases.provisional_pins import IssuedPins
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit

FORMS = "/forms"
_RECEIVING = tuple(roles_for(Step.RECEIVE))
_MOVING = tuple({role for step in Step for role in roles_for(step)})


@dataclass(frozen=True, slots=True)
class ShownForm:
    """A form as the console shows it; `whom` is a user ID, empty for the administrator or the contract."""

    number: str
    title: str
    state: str
    contract_id: str | None
    whom: str
    filed_at: datetime
    moved_at: datetime | None
    overdue: bool
    online: bool
    detail: dict[str, str]
    reason: str | None


def form_routes(site: Site) -> list[BaseRoute]:
    """Return the pages of request forms."""

    def page(path: str, show: Callable[[Visit], Response]) -> Route:
        return Route(path, endpoint(site, show), methods=["GET"])

    def taken(path: str, take: Callable[[Visit], Response]) -> Route:
        return Route(path, endpoint(site, take, turnstile=True), methods=["POST"])

    readers, receiving, moving = at_work(*READERS), at_work(*_RECEIVING), at_work(*_MOVING)
    new = HOME + "/{contract_id}/forms"
    return [
        page(FORMS, readers(list_page)),
        page(FORMS + "/{number}", readers(form_page)),
        taken(FORMS + "/{number}", moving(take_step)),
        page(new, receiving(new_page)),
        taken(new, receiving(take_new)),
    ]


def shown_form(visit: Visit, form: RequestForm) -> ShownForm:
    """Return a form in the words of the screen."""
    return ShownForm(
        number=form.number,
        title=form_title(visit.lang, form.kind),
        state=form.state.value,
        contract_id=form.contract_id,
        whom=form.user_id or "",
        filed_at=form.filed_at,
        moved_at=form.moved_at,
        overdue=form.overdue(visit.site.ports.now()),
        online=form.filed_online_by is not None,
        detail=dict(form.detail),
        reason=form.reason,
    )


def can_file(staff: Staff) -> bool:
    """Tell whether they receive forms at the counter."""
    return _may(staff, Step.RECEIVE)


def list_page(visit: Visit, current: AtWork) -> Response:
    """Show what is under way; a form's number leads to that form."""
    asked = visit.query.get("number", "")
    if asked.strip() and "refused" not in visit.query:
        digits = "".join(normal_form(asked).split())
        return visit.go(f"{FORMS}/{digits}") if row_of(digits) else visit.back(FORMS, FormUnknown(), number=asked[:40])
    place = visit.query.get("after", "")
    after = int(place) if place.isascii() and place.isdigit() and len(place) <= 18 else 0  # noqa: PLR2004 - 64 bits
    found = waiting_forms(visit.site.ports, staff=current.staff, after=after)
    return visit.page(
        "console/forms.html",
        staff=current.staff,
        forms=[shown_form(visit, form) for form in found.forms],
        can_file=can_file(current.staff),
        more=None if found.after is None else f"{FORMS}?after={found.after}",
    )


def form_page(visit: Visit, current: AtWork) -> Response:
    """Show one form, what was done to it, and what whoever looks can do."""
    whole = read_form(visit.site.ports, at_work=current, number=visit.path_values["number"])
    form = whole.form
    steps = form.next_steps()
    return visit.page(
        "console/form.html",
        done=_told(visit, form),
        staff=current.staff,
        form=shown_form(visit, form),
        contract=whole.contract,
        history=whole.done,
        scans=whole.scans,
        can_scan=form.state not in ENDED and can_file(current.staff),
        step=steps[0].value if steps else None,
        can_step=bool(steps) and _may(current.staff, steps[0]),
        others=[step.value for step in steps[1:] if _may(current.staff, step)],
    )


def take_step(visit: Visit, current: AtWork) -> Response:
    """Do a step, and go to where the form stands then; provisional PINs are shown in this answer alone."""
    site, number = visit.site, visit.path_values["number"]
    here = f"{FORMS}/{number}"
    try:
        visit.check_form()
        step = _step(visit.form.get("step", ""))
        if step is Step.CARRY_OUT:
            issued = carry_out_form(site.ports, bank=site.bank, at_work=current, number=number)
            if issued is not None:
                return _slip(visit, current, issued, here)
        else:
            move_form(site.ports, at_work=current, number=number, step=step, reason=visit.form.get("reason", ""))
    except (
        ChoiceMissing,
        ContractIdTaken,
        DetailsNotAllowed,
        FormExpired,
        FormMoved,
        FormWithoutEffect,
        FourEyes,
    ) as refusal:
        return visit.back(here, refusal)
    return visit.go(here, done=step.value)


def new_page(visit: Visit, current: AtWork) -> Response:
    """Ask for the kind of form, and once that is known for what stands on it."""
    contract = visible_contract(visit.site.ports, at_work=current, contract_id=visit.path_values["contract_id"])
    chosen = visit.query.get("kind", "")
    return _new(visit, current.staff, contract, FormKind(chosen) if chosen in AT_COUNTER else None)


def take_new(visit: Visit, current: AtWork) -> Response:
    """File what came on paper; what was typed stays where it is not taken."""
    site, contract_id = visit.site, visit.path_values["contract_id"]
    kind = visit.form.get("kind", "")
    try:
        visit.check_form()
        number = file_at_counter(
            site.ports,
            at_work=current,
            contract_id=contract_id,
            kind=kind,
            user_id=visit.form.get("user_id", ""),
            detail={name: visit.form.get(name, "") for name in CHANGED_FIELDS},
        )
    except (ChoiceMissing, FormExpired, FormWithoutEffect) as refusal:
        return visit.back(f"{HOME}/{contract_id}/forms", refusal)
    except DetailsNotAllowed as refusal:
        contract = visible_contract(site.ports, at_work=current, contract_id=contract_id)
        return _new(visit, current.staff, contract, read_kind(kind, AT_COUNTER), refusal)
    return visit.go(f"{FORMS}/{number}", done=Step.RECEIVE.value)


def _new(
    visit: Visit, staff: Staff, contract: object, kind: FormKind | None, refusal: DetailsNotAllowed | None = None
) -> Response:
    kinds = [(one.value, form_title(visit.lang, one)) for one in AT_COUNTER]
    return visit.page(
        "console/form_new.html",
        refusal=refusal,
        status=200 if refusal is None else 400,
        staff=staff,
        contract=contract,
        kind=None if kind is None else kind.value,
        form_title=None if kind is None else form_title(visit.lang, kind),
        kinds=kinds,
        of_users=kind in OF_USERS,
        changes=kind is FormKind.CONTRACT_CHANGE,
        values=visit.form,
    )


def _slip(visit: Visit, current: AtWork, issued: IssuedPins, back: str) -> Response:
    site = visit.site
    slip = slip_of(issued, visit.lang, public_url=site.urls["public"])
    pdf = slip_link(slip, site.bank, visit.lang)
    return visit.page("console/slip.html", staff=current.staff, done="form-carried-out", slip=slip, pdf=pdf, back=back)


def _told(visit: Visit, form: RequestForm) -> str | None:
    """Return what was done a moment ago, where the form still stands there."""
    if visit.query.get("done") == "scan":
        return "scan-added"
    done = f"form-{form.state.value}"
    return done if visit.query.get("done") and messages.has(f"done.{done}") else None


def _step(typed: str) -> Step:
    try:
        return Step(typed)
    except ValueError:
        raise ChoiceMissing from None


def _may(staff: Staff, step: Step) -> bool:
    return bool(staff.roles & roles_for(step))
