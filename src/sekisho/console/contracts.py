"""The search, and the page of one contract."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.routing import Route

from sekisho.console.audit_words import audit_row
from sekisho.console.door import EVERYBODY, HOME, POLICY, READERS, at_work
from sekisho.console.forms import can_file, shown_form
from sekisho.console.telephone import can_stop
from sekisho.usecases.find_contracts import PersonLine, find_contracts, read_contract
from sekisho.web import messages
from sekisho.web.endpoint import endpoint
from sekisho.web.notice_words import notice_values

if TYPE_CHECKING:
    from datetime import datetime

    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sekisho.domain.certificate import Certificate
    from sekisho.domain.contract import Person
    from sekisho.store.notices import Notice
    from sekisho.usecases.enter_console import AtWork
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ShownCertificate:
    """A certificate as the console shows it."""

    whose: str
    serial: int
    state: str
    issued_at: datetime
    not_after: datetime
    days_left: int
    exportable: bool


@dataclass(frozen=True, slots=True)
class ShownPerson:
    """One of a contract's people as the console shows them; `doors` are the words for what shuts them out."""

    user_id: str | None
    name: str
    doors: list[str]
    certificate: ShownCertificate | None
    permit_until: datetime | None
    last_logon: datetime | None


@dataclass(frozen=True, slots=True)
class ShownNotice:
    """A notice with whom it was for."""

    at: datetime
    whose: str
    title: str


def contract_routes(site: Site) -> list[BaseRoute]:
    """Return the search and the page of one contract."""
    readers = at_work(*READERS)
    return [
        Route(HOME, endpoint(site, at_work(*EVERYBODY)(search_page))),
        Route(HOME + "/{contract_id}", endpoint(site, readers(contract_page))),
    ]


def search_page(visit: Visit, current: AtWork) -> Response:
    """Show the search with what was found; whoever only changes the bank's rules goes there instead."""
    if not current.staff.roles.intersection(READERS):
        return visit.go(POLICY)
    looked_for, branch = visit.query.get("q", ""), visit.query.get("branch", "")
    found = find_contracts(
        visit.site.ports,
        staff=current.staff,
        looked_for=looked_for,
        branch=branch,
        after=visit.query.get("after"),
    )
    more = None
    if found.after is not None:
        more = f"{HOME}?{urlencode({'q': looked_for, 'branch': branch, 'after': found.after})}"
    return visit.page(
        "console/search.html",
        staff=current.staff,
        values={"q": looked_for, "branch": branch},
        contracts=found.contracts,
        more=more,
        asked=bool(looked_for.strip() or branch.strip()),
        going_on=bool(visit.query.get("after")),
    )


def contract_page(visit: Visit, current: AtWork) -> Response:
    """Show all of one contract; that it was looked at stands in its audit trail."""
    place = visit.query.get("before", "")
    before = int(place) if place.isascii() and place.isdigit() and len(place) <= 18 else None  # noqa: PLR2004 - 64 bits
    whole = read_contract(
        visit.site.ports, at_work=current, contract_id=visit.path_values["contract_id"], before=before
    )
    now = visit.site.ports.now()
    persons = {line.person.id: line.person for line in whole.people}
    return visit.page(
        "console/contract.html",
        staff=current.staff,
        contract=whole.contract,
        people=[_person(visit, line, now) for line in whole.people],
        certificates=[_certificate(one, now) for one in whole.certificates],
        card=whole.card,
        notices=[_notice(visit, notice, persons[notice.person_id]) for notice in whole.notices],
        audit=[audit_row(visit.lang, row) for row in whole.audit],
        older=f"?before={whole.audit[-1]['id']}#audit-heading" if whole.audit_goes_on else None,
        forms=[shown_form(visit, form) for form in whole.forms],
        done="stopped-by-telephone" if visit.query.get("done") == "stopped" else None,
        can_stop=whole.contract.ended_at is None and can_stop(current.staff),
        can_file=whole.contract.ended_at is None and can_file(current.staff),
    )


def _person(visit: Visit, line: PersonLine, now: datetime) -> ShownPerson:
    person = line.person
    permit = line.permit
    return ShownPerson(
        user_id=person.who.user_id,
        name=person.name,
        doors=[messages.text(visit.lang, f"console.door.{door}") for door in _doors(person)],
        certificate=None if line.certificate is None else _certificate(line.certificate, now),
        permit_until=permit.expires_at if permit is not None and permit.is_open(now) else None,
        last_logon=line.last_logon,
    )


def _doors(person: Person) -> list[str]:
    if person.who.user_id is None:
        shut = {
            "contract-stopped": person.contract_stopped_at,
            "contract-closed": person.contract_closed_at,
            "contract-unopened": None if person.contract_opened_at else person,
        }
    else:
        shut = {"user-stopped": person.stopped_at, "user-closed": person.closed_at}
    return [door for door, at in shut.items() if at is not None]


def _certificate(certificate: Certificate, now: datetime) -> ShownCertificate:
    return ShownCertificate(
        whose=certificate.person.user_id or "",
        serial=certificate.serial,
        state=_state(certificate, now),
        issued_at=certificate.issued_at,
        not_after=certificate.not_after,
        days_left=(certificate.not_after - now) // _DAY,
        exportable=certificate.exportable,
    )


def _state(certificate: Certificate, now: datetime) -> str:
    if certificate.ended_at is not None:
        return "revoked"
    if certificate.suspended_at is not None:
        return "suspended"
    return "expired" if now >= certificate.not_after else "in-force"


def _notice(visit: Visit, notice: Notice, reader: Person) -> ShownNotice:
    told = messages.notice(visit.lang, notice.code, **notice_values(notice, reader))
    return ShownNotice(notice.at, reader.who.user_id or "", told.title)
