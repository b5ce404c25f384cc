"""The second step of an administrator's logon by app or passkey, and the pages where both are added and taken away."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from starlette.routing import Route

from sekisho.domain.errors import DoorClosed, EntryRefused, SecondStepMissing
from sekisho.domain.second_step import SecondStep
from sekisho.portal.new_app import new_app
from sekisho.portal.secure import ask_second_step, logged_on, other_steps, take_second_step
from sekisho.usecases.cards import own_cards
from sekisho.usecases.manage_second_steps import (
    Confirmed,
    add_passkey,
    add_totp,
    ask_new_passkey,
    begin_totp,
    new_totp,
    remove_passkey,
    remove_totp,
)
from sekisho.usecases.read_second_steps import read_second_steps
from sekisho.usecases.second_step import answer_passkey, answer_totp, ask_passkey
from sekisho.vault.passkeys import PasskeyJudge
from sekisho.web.endpoint import endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sekisho.usecases.log_on import OpenedSession
    from sekisho.usecases.read_second_steps import SecondSteps
    from sekisho.usecases.resume_session import LoggedOn
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit

_STEPS = "/contract/second-steps"
_ADD_TOTP = f"{_STEPS}/totp"
_ADD_PASSKEY = f"{_STEPS}/passkey"
_REMOVE = f"{_STEPS}/remove"
_LONGEST_NUMBER = 18


def second_step_routes(site: Site) -> list[BaseRoute]:
    """Return the pages about authenticator apps and passkeys."""
    judge = PasskeyJudge(site.urls[site.name], site.bank.name["ja"])
    return [
        Route("/totp", endpoint(site, totp_page), methods=["GET"]),
        Route("/totp", endpoint(site, take_totp), methods=["POST"]),
        Route("/passkey", endpoint(site, partial(passkey_page, judge=judge)), methods=["GET"]),
        Route("/passkey", endpoint(site, partial(take_passkey, judge=judge)), methods=["POST"]),
        Route(_STEPS, endpoint(site, logged_on(steps_page)), methods=["GET"]),
        Route(_STEPS, endpoint(site, logged_on(take_begin)), methods=["POST"]),
        Route(_ADD_TOTP, endpoint(site, logged_on(add_totp_page)), methods=["GET"]),
        Route(_ADD_TOTP, endpoint(site, logged_on(take_add_totp), turnstile=True), methods=["POST"]),
        Route(_ADD_PASSKEY, endpoint(site, logged_on(partial(add_passkey_page, judge=judge))), methods=["GET"]),
        Route(
            _ADD_PASSKEY,
            endpoint(site, logged_on(partial(take_add_passkey, judge=judge)), turnstile=True),
            methods=["POST"],
        ),
        Route(_REMOVE, endpoint(site, logged_on(remove_page)), methods=["GET"]),
        Route(_REMOVE, endpoint(site, logged_on(take_remove), turnstile=True), methods=["POST"]),
    ]


def totp_page(visit: Visit) -> Response:
    """Ask for a code of the authenticator app."""

    def ask(_current: LoggedOn, steps: SecondSteps) -> Response:
        return visit.page("totp.html", others=other_steps(steps, SecondStep.TOTP))

    return ask_second_step(visit, SecondStep.TOTP, ask)


def take_totp(visit: Visit) -> Response:
    """Take the code; the logon is complete then."""

    def answer(current: LoggedOn) -> OpenedSession:
        site, language = visit.site, visit.lang if visit.lang_chosen else None
        code = visit.entry("code")
        return answer_totp(
            site.ports, bank=site.bank, current=current, code=code, address=visit.address, language=language
        )

    return take_second_step(visit, SecondStep.TOTP, answer)


def passkey_page(visit: Visit, *, judge: PasskeyJudge) -> Response:
    """Ask for a passkey."""

    def ask(current: LoggedOn, steps: SecondSteps) -> Response:
        asked = ask_passkey(visit.site.ports, bank=visit.site.bank, current=current, judge=judge)
        return visit.page("passkey.html", asked=asked, others=other_steps(steps, SecondStep.PASSKEY))

    return ask_second_step(visit, SecondStep.PASSKEY, ask)


def take_passkey(visit: Visit, *, judge: PasskeyJudge) -> Response:
    """Take what the passkey answered; the logon is complete then."""

    def answer(current: LoggedOn) -> OpenedSession:
        return answer_passkey(
            visit.site.ports,
            bank=visit.site.bank,
            current=current,
            judge=judge,
            answer=visit.form.get("answer", ""),
            address=visit.address,
            language=visit.lang if visit.lang_chosen else None,
        )

    return take_second_step(visit, SecondStep.PASSKEY, answer)


def steps_page(visit: Visit, current: LoggedOn) -> Response:
    """Show what the second step can be taken with."""
    offered = visit.site.bank.policy.second_steps
    steps = read_second_steps(visit.site.ports, bank=visit.site.bank, person=current.person)
    done = visit.query.get("done")
    return visit.page(
        "second_steps.html",
        person=current.person,
        card=steps.card,
        cards=own_cards(visit.site.ports, current.person.who),
        offers_totp=SecondStep.TOTP in offered,
        offers_passkey=SecondStep.PASSKEY in offered,
        totp_since=None if steps.totp is None else steps.totp.set_at,
        passkeys=steps.passkeys,
        done=done if done in {"second-step-added", "second-step-removed"} else None,
    )


def take_begin(visit: Visit, current: LoggedOn) -> Response:
    """Begin to add an authenticator app."""
    try:
        visit.check_form()
        begin_totp(visit.site.ports, bank=visit.site.bank, current=current)
    except EntryRefused as refusal:
        return visit.back(_STEPS, refusal)
    return visit.go(_ADD_TOTP)


def add_totp_page(visit: Visit, current: LoggedOn) -> Response:
    """Show the new app's secret as a QR code and in letters."""
    site = visit.site
    try:
        secret = new_totp(site.ports, bank=site.bank, current=current)
    except SecondStepMissing as refusal:
        return visit.back(_STEPS, refusal)
    return visit.page("totp_add.html", person=current.person, app=new_app(visit, current, secret))


def take_add_totp(visit: Visit, current: LoggedOn) -> Response:
    """Take the new app in use."""

    def add() -> None:
        code = visit.entry("code")
        shown = visit.form.get("shown", "")
        add_totp(visit.site.ports, bank=visit.site.bank, confirmed=_confirmed(visit, current), code=code, shown=shown)

    return _take(visit, add, at=_ADD_TOTP, done="second-step-added")


def add_passkey_page(visit: Visit, current: LoggedOn, *, judge: PasskeyJudge) -> Response:
    """Ask the browser for a new passkey."""
    site = visit.site
    try:
        asked = ask_new_passkey(site.ports, bank=site.bank, current=current, judge=judge)
    except SecondStepMissing as refusal:
        return visit.back(_STEPS, refusal)
    values = {"label": visit.query.get("label", "")}
    return visit.page("passkey_add.html", person=current.person, asked=asked, values=values)


def take_add_passkey(visit: Visit, current: LoggedOn, *, judge: PasskeyJudge) -> Response:
    """Keep the new passkey."""
    label = visit.form.get("label", "")

    def add() -> None:
        visit.entry("label")
        confirmed, answer = _confirmed(visit, current), visit.form.get("answer", "")
        add_passkey(
            visit.site.ports, bank=visit.site.bank, confirmed=confirmed, judge=judge, label=label, answer=answer
        )

    return _take(visit, add, at=_ADD_PASSKEY, done="second-step-added", label=label[:80])


def remove_page(visit: Visit, current: LoggedOn) -> Response:
    """Ask whether the app, or which passkey, is to be taken away."""
    steps = read_second_steps(visit.site.ports, bank=visit.site.bank, person=current.person)
    which = visit.query.get("which", "")
    label = next((key.label for key in steps.passkeys if str(key.id) == which), None)
    if label is None and (which != SecondStep.TOTP.value or steps.totp is None):
        return visit.back(_STEPS, SecondStepMissing())
    return visit.page("second_step_remove.html", person=current.person, which=which, label=label)


def take_remove(visit: Visit, current: LoggedOn) -> Response:
    """Take it away."""
    which = visit.form.get("which", "")
    site = visit.site

    def remove() -> None:
        confirmed = _confirmed(visit, current)
        if which == SecondStep.TOTP.value:
            remove_totp(site.ports, bank=site.bank, confirmed=confirmed)
        else:
            remove_passkey(site.ports, bank=site.bank, confirmed=confirmed, passkey_id=_number(which))

    return _take(visit, remove, at=_REMOVE, done="second-step-removed", which=which[:20])


def _take(visit: Visit, change: Callable[[], None], *, at: str, done: str, **typed: str) -> Response:
    """Make a change and go to the list that tells so, or back to the form at `at` with what was typed."""
    try:
        visit.check_form()
        change()
    except SecondStepMissing as refusal:
        return visit.back(_STEPS, refusal)
    except EntryRefused as refusal:
        return visit.back(at, refusal, **typed)
    except DoorClosed as refusal:
        return visit.back("/", refusal)
    return visit.go(_STEPS, done=done)


def _number(text: str) -> int:
    """Return the number of a passkey's row; what is none is no passkey's."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER else 0


def _confirmed(visit: Visit, current: LoggedOn) -> Confirmed:
    return Confirmed(current, visit.entry("confirmation_pin"), visit.address)
