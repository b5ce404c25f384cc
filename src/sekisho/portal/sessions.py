"""The page of sessions: one's own, and for an administrator those that the contract's users have open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.routing import Route

from sekisho.domain.errors import DetailsNotAllowed, EntryRefused, FormExpired, SessionUnknown
from sekisho.domain.person import Kind
from sekisho.portal.secure import logged_on
from sekisho.usecases.emergency_stop import Demand
from sekisho.usecases.end_session import end_session_of_user
from sekisho.usecases.name_computer import name_computer
from sekisho.usecases.read_sessions import read_own_session, read_sessions_of_users, was_ended
from sekisho.web import problems
from sekisho.web.endpoint import endpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sekisho.store.sessions import OpenSession
    from sekisho.usecases.resume_session import LoggedOn
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit

SESSIONS = "/sessions"
_END = "/sessions/end"
_COMPUTER = "/sessions/computer"
ON_A_PAGE = 20
# No row has a longer id, and no list a longer number of a page.
_LONGEST_NUMBER = 18
_NAMED = "computer-named"
_ENDED = "session-ended"


@dataclass(frozen=True, slots=True)
class SessionsPage:
    """One page of the open sessions; `total` is the number of all."""

    lines: Sequence[OpenSession]
    total: int
    page: int
    pages: int


def sessions_routes(site: Site) -> list[BaseRoute]:
    """Return the page, and what is sent from it."""
    routes: list[BaseRoute] = [
        Route(SESSIONS, endpoint(site, logged_on(sessions_page)), methods=["GET"]),
        Route(_COMPUTER, endpoint(site, logged_on(take_computer)), methods=["POST"]),
    ]
    if site.kind is Kind.ADMINISTRATOR:
        routes.append(Route(_END, endpoint(site, logged_on(take_end)), methods=["POST"]))
    return routes


def sessions_page(visit: Visit, current: LoggedOn) -> Response:
    """Show who is logged on."""
    return _page(visit, current)


def take_computer(visit: Visit, current: LoggedOn) -> Response:
    """Note what the person calls their computer; a refused name stays in its field and out of the address."""
    site = visit.site
    try:
        visit.check_form()
        name_computer(
            site.ports,
            bank=site.bank,
            logged_on=current,
            computer=visit.form.get("computer", ""),
            address=visit.address,
        )
    except (DetailsNotAllowed, FormExpired) as refusal:
        return _page(visit, current, refusal)
    return visit.go(SESSIONS, done=_NAMED)


def take_end(visit: Visit, current: LoggedOn) -> Response:
    """End the session of a user and go to the page that tells so."""
    site = visit.site
    try:
        visit.check_form()
        session_id = _number(visit.form.get("session", ""))
        if session_id is None:
            raise SessionUnknown  # noqa: TRY301 - told like every other refusal of the form
        demand = Demand(current.session, current.certificate.id, visit.address)
        end_session_of_user(site.ports, bank=site.bank, demand=demand, session_id=session_id)
    except (SessionUnknown, FormExpired) as refusal:
        return _page(visit, current, refusal)
    return visit.go(SESSIONS, ended=str(session_id))


def sessions_list(lines: Sequence[OpenSession], asked: str) -> SessionsPage:
    """Return the page of a list that an address asks for; what makes no sense there is taken for the first."""
    pages = max(1, -(-len(lines) // ON_A_PAGE))
    page = min(max(_number(asked) or 1, 1), pages)
    return SessionsPage(lines[(page - 1) * ON_A_PAGE : page * ON_A_PAGE], len(lines), page, pages)


def _page(visit: Visit, current: LoggedOn, refusal: EntryRefused | None = None) -> Response:
    site, who = visit.site, current.person.who
    own = read_own_session(site.ports, bank=site.bank, logged_on=current)
    users = None
    if who.kind is Kind.ADMINISTRATOR:
        open_now = read_sessions_of_users(site.ports, bank=site.bank, administrator=who)
        users = sessions_list(open_now, visit.query.get("page", ""))
    typed = visit.form.get("computer", "") if isinstance(refusal, DetailsNotAllowed) else own.computer or ""
    return visit.page(
        "sessions.html",
        # A refused form is answered here as well, and its own address can only be sent to.
        path=SESSIONS,
        person=current.person,
        refusal=refusal,
        status=200 if refusal is None else problems.status_of(refusal),
        done=_done(visit, current),
        values={"computer": typed},
        own=own,
        users=users,
    )


def _done(visit: Visit, current: LoggedOn) -> str | None:
    """Return what was just done. That a session was ended is told from the table, whoever wrote the address."""
    if visit.method != "GET":
        return None
    if visit.query.get("done") == _NAMED:
        return _NAMED
    session_id = _number(visit.query.get("ended", ""))
    who = current.person.who
    if session_id is None or who.kind is not Kind.ADMINISTRATOR:
        return None
    return _ENDED if was_ended(visit.site.ports, administrator=who, session_id=session_id) else None


def _number(typed: str) -> int | None:
    return int(typed) if typed.isascii() and typed.isdigit() and len(typed) <= _LONGEST_NUMBER else None
