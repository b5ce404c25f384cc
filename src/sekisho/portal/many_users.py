"""「再発行」 or 「失効」 for many users at once, with one confirmation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from sekisho.domain.errors import ChoiceMissing, DoorClosed, EntryRefused
from sekisho.portal.secure import logged_on
from sekisho.portal.users import USERS, confirmation
from sekisho.usecases.change_user import permit_reissues, revoke_of_users
from sekisho.usecases.read_users import read_users
from sekisho.web import problems
from sekisho.web.endpoint import endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sekisho.usecases.read_users import UserLine
    from sekisho.usecases.resume_session import LoggedOn
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit

    Show = Callable[[Visit, UserLine], object]

_MANY = "/contract/users/many"
_DONE = "/contract/users/many/done"
_CHOSEN = "chosen_"
_CARRY_OUT = {"reissue": permit_reissues, "revoke": revoke_of_users}
_DONE_CODES = {"reissue": "certificates-reissued", "revoke": "certificates-revoked"}


def many_routes(site: Site, show: Show) -> list[BaseRoute]:
    """Return the pages; `show` makes of a line what the list of users shows."""

    def page(visit: Visit, current: LoggedOn) -> Response:
        return _page(visit, current, show)

    def take(visit: Visit, current: LoggedOn) -> Response:
        return _take(visit, current, show)

    def done(visit: Visit, current: LoggedOn) -> Response:
        return _done(visit, current, show)

    return [
        Route(_MANY, endpoint(site, logged_on(page)), methods=["GET"]),
        Route(_MANY, endpoint(site, logged_on(take), turnstile=True), methods=["POST"]),
        Route(_DONE, endpoint(site, logged_on(done))),
    ]


def _chosen(fields: Mapping[str, str]) -> list[str]:
    return [field.removeprefix(_CHOSEN) for field in fields if field.startswith(_CHOSEN)]


def _page(visit: Visit, current: LoggedOn, show: Show, refusal: EntryRefused | None = None) -> Response:
    """Show all users with a box each; a refused form is answered with what was ticked."""
    lines = read_users(visit.site.ports, administrator=current.person.who)
    return visit.page(
        "users_many.html",
        person=current.person,
        refusal=refusal,
        status=200 if refusal is None else problems.status_of(refusal),
        users=[show(visit, line) for line in lines],
        chosen=[user_id.lower() for user_id in _chosen(visit.form)],
        values={"action": visit.form.get("action", "")},
    )


def _take(visit: Visit, current: LoggedOn, show: Show) -> Response:
    action, user_ids = visit.form.get("action", ""), _chosen(visit.form)
    try:
        visit.check_form()
        wrong = {"chosen": "choice-missing"} if not user_ids else {}
        wrong |= {"action": "choice-missing"} if action not in _CARRY_OUT else {}
        if wrong:
            raise ChoiceMissing(fields=wrong)
        decided = confirmation(visit, current)
        _CARRY_OUT[action](visit.site.ports, bank=visit.site.bank, confirmation=decided, user_ids=user_ids)
    except EntryRefused as refusal:
        return _page(visit, current, show, refusal)
    except DoorClosed as refusal:
        return visit.back("/", refusal)
    return visit.go(_DONE, action=action, **{f"{_CHOSEN}{user_id}": "on" for user_id in user_ids})


def _done(visit: Visit, current: LoggedOn, show: Show) -> Response:
    """Show what became of the users who were chosen, from what stands in the table now."""
    action, chosen = visit.query.get("action", ""), {user_id.lower() for user_id in _chosen(visit.query)}
    lines = read_users(visit.site.ports, administrator=current.person.who)
    found = [line for line in lines if line.person.who.user_key in chosen]
    states = {"reissue": "permit", "revoke": "revoked"}
    as_told = any(line.state.value == states.get(action) for line in found)
    if not as_told:
        return visit.go(USERS)
    return visit.page(
        "users_many_done.html",
        person=current.person,
        users=[show(visit, line) for line in found],
        done=_DONE_CODES[action],
    )
