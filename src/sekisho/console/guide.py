"""The customers' guide, for staff who read it to a customer on the telephone (J13)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from sekisho.console.door import HOME, READERS, at_work
from sekisho.domain import guide
from sekisho.domain.customer_card import CardState
from sekisho.domain.errors import UserUnknown
from sekisho.domain.guide import Question
from sekisho.usecases.find_contracts import PersonLine, WholeContract, read_contract
from sekisho.web.endpoint import endpoint
from sekisho.web.guide_address import guide_address

if TYPE_CHECKING:
    from datetime import datetime

    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sekisho.domain.contract import Person
    from sekisho.domain.customer_card import CustomerCard
    from sekisho.usecases.enter_console import AtWork
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit


def guide_routes(site: Site) -> list[BaseRoute]:
    """Return the way from a contract into the guide."""
    return [Route(HOME + "/{contract_id}/guide", endpoint(site, at_work(*READERS)(to_guide)))]


def to_guide(visit: Visit, current: AtWork) -> Response:
    """Lead to the guide with what the contract's state answers; its address names no contract and no person.

    It counts as a look at the contract, and stands in its audit trail as one.
    """
    ports = visit.site.ports
    whole = read_contract(ports, at_work=current, contract_id=visit.path_values["contract_id"])
    answers = known_answers(whole, visit.query.get("user_id"), ports.now())
    return visit.go(f"{visit.site.urls['public']}{guide_address(answers)}&lang={visit.lang}")


def known_answers(whole: WholeContract, user_id: str | None, now: datetime) -> dict[Question, str]:
    """Return what is known of the administrator's move, or of a user's. Raises `UserUnknown`.

    Whether the old computer works, and who remembers which PIN, only the
    customer can say; so it is with the card, unless there is none.
    """
    administrator = whole.people[0]
    line = administrator if not user_id else _user(whole, user_id)
    answers = {
        Question.WHOSE: guide.ADMINISTRATOR if line is administrator else guide.USER,
        Question.CERTIFICATE: guide.VALID if _in_force(administrator, now) else guide.ENDED,
        Question.LOCKED: _locked(line.person),
    }
    return answers | ({} if _has_card(whole.card) else {Question.CARD: guide.LOST})


def _has_card(card: CustomerCard | None) -> bool:
    return card is not None and card.state in {CardState.POSTED, CardState.IN_USE}


def _user(whole: WholeContract, user_id: str) -> PersonLine:
    found = [line for line in whole.people if line.person.who.user_id == user_id]
    if not found:
        raise UserUnknown
    return found[0]


def _in_force(line: PersonLine, now: datetime) -> bool:
    return line.certificate is not None and line.certificate.in_force(now)


def _locked(person: Person) -> str:
    if person.stopped_at is not None or person.contract_stopped_at is not None:
        return guide.STOPPED
    if person.contract_closed_at is not None:
        return guide.CONTRACT_CLOSED
    return guide.NOT_LOCKED if person.closed_at is None else guide.USER_SUSPENDED
