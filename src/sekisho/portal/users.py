"""The pages on which an administrator registers users, changes what stands about them, and deletes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.routing import Route

from sekisho.domain.errors import ChoiceMissing, DoorClosed, EntryRefused, UserUnknown
from sekisho.portal.secure import logged_on
from sekisho.usecases.change_details import change_details
from sekisho.usecases.confirm import Confirmation
from sekisho.usecases.delete_user import delete_user
from sekisho.usecases.emergency_stop import Demand, stop_user
from sekisho.usecases.lift_suspension import lift_suspension
from sekisho.usecases.provisional_pins import IssuedPins, reset_pins
from sekisho.usecases.read_users import UserLine, read_user
from sekisho.usecases.register_user import UserDetails, register_user
from sekisho.usecases.withdraw_permit import withdraw_permit
from sekisho.web import messages, problems
from sekisho.web.endpoint import endpoint
from sekisho.web.slips import slip_link, slip_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sekisho.domain.contract import Bank
    from sekisho.usecases.ports import Ports
    from sekisho.usecases.resume_session import LoggedOn
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit

USERS = "/contract/users"
_NEW = "/contract/users/new"
_DETAILS = "/contract/users/details"
_PINS = "/contract/users/pins"
_CONFIRM = "/contract/users/confirm"
_DONE = "/contract/users/done"
_APPLICATION = "application_"
_TYPED = ("user_id", "name", "mail_address", "computer")


@dataclass(frozen=True, slots=True)
class _ShownApplication:
    code: str
    name: str
    permitted: bool


@dataclass(frozen=True, slots=True)
class Step:
    """What is done about one user once it was confirmed.

    `open_for` tells whether it can be done about a user as they stand,
    `took` whether it was; `asks_pin` is false for what must not be stumbled over.
    """

    run: Callable[[Ports, Bank, Confirmation, str], None]
    done: str
    open_for: Callable[[UserLine], bool]
    took: Callable[[UserLine], bool]
    asks_pin: bool = True


def _delete(ports: Ports, bank: Bank, confirmation: Confirmation, user_id: str) -> None:
    delete_user(ports, bank=bank, confirmation=confirmation, user_id=user_id)


def _lift(ports: Ports, bank: Bank, confirmation: Confirmation, user_id: str) -> None:
    lift_suspension(ports, bank=bank, confirmation=confirmation, user_id=user_id)


def _withdraw(ports: Ports, bank: Bank, confirmation: Confirmation, user_id: str) -> None:
    withdraw_permit(ports, bank=bank, confirmation=confirmation, user_id=user_id)


def _stop(ports: Ports, bank: Bank, confirmation: Confirmation, user_id: str) -> None:
    demand = Demand(confirmation.session, confirmation.certificate_id, confirmation.address)
    stop_user(ports, bank=bank, demand=demand, user_id=user_id)


STEPS = {
    "lift": Step(
        _lift,
        "user-lifted",
        open_for=lambda line: line.person.closed_at is not None,
        took=lambda line: line.person.closed_at is None,
    ),
    "withdraw": Step(
        _withdraw,
        "permit-withdrawn",
        open_for=lambda line: line.permit is not None,
        took=lambda line: line.permit is None,
    ),
    "stop": Step(
        _stop,
        "user-stopped",
        open_for=lambda line: line.person.stopped_at is None,
        took=lambda line: line.person.stopped_at is not None,
        asks_pin=False,
    ),
    "delete": Step(_delete, "user-deleted", open_for=lambda _: True, took=lambda _: False),
}


def steps_for(line: UserLine) -> list[str]:
    """Return what can be done about a user as they stand."""
    return [name for name, step in STEPS.items() if step.open_for(line)]


def users_routes(site: Site) -> list[BaseRoute]:
    """Return the pages about users, but for the list and what becomes of a certificate."""

    def page(path: str, show: Callable[[Visit, LoggedOn], Response]) -> Route:
        return Route(path, endpoint(site, logged_on(show)), methods=["GET"])

    def form(path: str, take: Callable[[Visit, LoggedOn], Response]) -> Route:
        return Route(path, endpoint(site, logged_on(take), turnstile=True), methods=["POST"])

    return [
        page(_NEW, new_page),
        form(_NEW, take_new),
        page(_DETAILS, details_page),
        form(_DETAILS, take_details),
        page(_PINS, pins_page),
        form(_PINS, take_pins),
        page(_CONFIRM, confirm_page),
        form(_CONFIRM, take_confirmed),
        page(_DONE, done_page),
    ]


def new_page(visit: Visit, current: LoggedOn) -> Response:
    """Ask for what is to stand about a new user."""
    return _details(visit, current, "user_new.html")


def take_new(visit: Visit, current: LoggedOn) -> Response:
    """Register the user; the answer itself shows the provisional PINs, and nothing can show them again."""
    site = visit.site
    try:
        visit.check_form()
        issued = register_user(
            site.ports,
            bank=site.bank,
            confirmation=confirmation(visit, current),
            user_id=visit.form.get("user_id", ""),
            details=_typed(visit),
        )
    except EntryRefused as refusal:
        return _details(visit, current, "user_new.html", refusal=refusal)
    except DoorClosed as refusal:
        return visit.back("/", refusal)
    return _slip(visit, current, issued, "user-registered")


def details_page(visit: Visit, current: LoggedOn) -> Response:
    """Show what stands about a user, to be changed."""
    try:
        return _details(visit, current, "user_details.html", line=_whom(visit, current))
    except UserUnknown as refusal:
        return visit.back(USERS, refusal)


def take_details(visit: Visit, current: LoggedOn) -> Response:
    """Change what stands about a user."""
    site, user_id = visit.site, visit.query.get("user_id", "")
    try:
        line = _whom(visit, current)
    except UserUnknown as refusal:
        return visit.back(USERS, refusal)
    try:
        visit.check_form()
        change_details(
            site.ports,
            bank=site.bank,
            confirmation=confirmation(visit, current),
            user_id=user_id,
            details=_typed(visit),
        )
    except UserUnknown as refusal:
        return visit.back(USERS, refusal)
    except EntryRefused as refusal:
        return _details(visit, current, "user_details.html", line=line, refusal=refusal)
    except DoorClosed as refusal:
        return visit.back("/", refusal)
    return visit.go(_DONE, user_id=user_id, step="details")


def pins_page(visit: Visit, current: LoggedOn) -> Response:
    """Ask whether a user is to get new provisional PINs."""
    return _confirm(visit, current, "pins", _PINS)


def take_pins(visit: Visit, current: LoggedOn) -> Response:
    """Make them; the answer itself shows them, and nothing can show them again."""
    site, user_id = visit.site, visit.form.get("user_id", "")
    try:
        visit.check_form()
        issued = reset_pins(site.ports, bank=site.bank, confirmation=confirmation(visit, current), user_id=user_id)
    except UserUnknown as refusal:
        return visit.back(USERS, refusal)
    except EntryRefused as refusal:
        return visit.back(_PINS, refusal, user_id=user_id)
    except DoorClosed as refusal:
        return visit.back("/", refusal)
    return _slip(visit, current, issued, "pins-reset")


def confirm_page(visit: Visit, current: LoggedOn) -> Response:
    """Say what a step about a user brings with it, and ask for the confirmation PIN."""
    step = visit.query.get("step", "")
    if step not in STEPS:
        return visit.back(USERS, ChoiceMissing())
    return _confirm(visit, current, step, _CONFIRM)


def take_confirmed(visit: Visit, current: LoggedOn) -> Response:
    """Carry the step out and go to the page that tells so."""
    site, user_id, step = visit.site, visit.form.get("user_id", ""), visit.form.get("step", "")
    try:
        visit.check_form()
        if step not in STEPS:
            raise ChoiceMissing  # noqa: TRY301 - told like every other refusal of the form
        STEPS[step].run(site.ports, site.bank, confirmation(visit, current), user_id)
    except (UserUnknown, ChoiceMissing) as refusal:
        return visit.back(USERS, refusal)
    except EntryRefused as refusal:
        return visit.back(_CONFIRM, refusal, user_id=user_id, step=step)
    except DoorClosed as refusal:
        return visit.back("/", refusal)
    return visit.go(_DONE, user_id=user_id, step=step)


def done_page(visit: Visit, current: LoggedOn) -> Response:
    """Tell what was done about a user, from what stands in the table now."""
    step, user_id = visit.query.get("step", ""), visit.query.get("user_id", "")
    try:
        line = read_user(visit.site.ports, administrator=current.person.who, user_id=user_id)
    except UserUnknown as refusal:
        if step != "delete":
            return visit.back(USERS, refusal)
        return visit.page("user_done.html", person=current.person, done=STEPS[step].done, user=None)
    if step == "details":
        return visit.page("user_done.html", person=current.person, done="user-changed", user=line.person)
    if step in STEPS and STEPS[step].took(line):
        return visit.page("user_done.html", person=current.person, done=STEPS[step].done, user=line.person)
    return visit.go(f"{USERS}/change", user_id=user_id)


def confirmation(visit: Visit, current: LoggedOn) -> Confirmation:
    """Return who decides, with the confirmation PIN as it was typed."""
    return Confirmation(
        session=current.session,
        certificate_id=current.certificate.id,
        confirmation_pin=visit.form.get("confirmation_pin", ""),
        address=visit.address,
    )


def _typed(visit: Visit) -> UserDetails:
    return UserDetails(
        name=visit.form.get("name", ""),
        mail_address=visit.form.get("mail_address", ""),
        applications=_ticked(visit.form.keys()),
        computer=visit.form.get("computer", ""),
    )


def _ticked(fields: Collection[str]) -> list[str]:
    return [field.removeprefix(_APPLICATION) for field in fields if field.startswith(_APPLICATION)]


def _whom(visit: Visit, current: LoggedOn) -> UserLine:
    """Return the user whom the address names. Raises `UserUnknown`."""
    user_id = visit.query.get("user_id", "")
    return read_user(visit.site.ports, administrator=current.person.who, user_id=user_id)


def _details(
    visit: Visit,
    current: LoggedOn,
    template: str,
    *,
    line: UserLine | None = None,
    refusal: EntryRefused | None = None,
) -> Response:
    """Show a form about a user.

    A refused one is answered with the page itself: names and addresses stay out of URLs.
    """
    values: Mapping[str, str] = visit.form
    chosen: Collection[str] = _ticked(visit.form.keys())
    if refusal is None:
        values = {} if line is None else _standing(line)
        chosen = () if line is None else line.person.applications
    applications = [
        _ShownApplication(one.code, one.name[visit.lang], one.code in chosen) for one in visit.site.bank.applications
    ]
    return visit.page(
        template,
        person=current.person,
        refusal=refusal,
        status=200 if refusal is None else problems.status_of(refusal),
        values={name: value for name, value in values.items() if name in _TYPED},
        applications=applications,
        user=None if line is None else line.person,
        has_certificate=line is not None and line.certificate is not None,
    )


def _standing(line: UserLine) -> dict[str, str]:
    """Return what stands about a user, by the names of the form's fields."""
    computer = None if line.origin is None else line.origin.computer
    return {"name": line.person.name, "mail_address": line.person.mail_address or "", "computer": computer or ""}


def _confirm(visit: Visit, current: LoggedOn, step: str, action: str) -> Response:
    user_id = visit.query.get("user_id", "")
    try:
        line = read_user(visit.site.ports, administrator=current.person.who, user_id=user_id)
    except UserUnknown as refusal:
        return visit.back(USERS, refusal)
    state_text = messages.certificate_state(visit.lang, line.state.value)
    return visit.page(
        "user_confirm.html",
        person=current.person,
        step=step,
        action=action,
        asks_pin=step not in STEPS or STEPS[step].asks_pin,
        user=line.person,
        state=line.state.value,
        state_text=state_text,
    )


def _slip(visit: Visit, current: LoggedOn, issued: IssuedPins, done: str) -> Response:
    """Show provisional PINs and hand out their slip, in one answer that no browser stores."""
    site = visit.site
    slip = slip_of(issued, visit.lang, public_url=site.urls["public"])
    pdf = slip_link(slip, site.bank, visit.lang)
    return visit.page("user_slip.html", person=current.person, done=done, slip=slip, pdf=pdf, issued=issued)
