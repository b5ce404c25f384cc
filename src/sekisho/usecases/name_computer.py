"""A person says what the computer is called on which their certificate is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.entries import LONGEST_COMPUTER, name_problem, one_line
from sekisho.domain.errors import DetailsNotAllowed
from sekisho.store import audit, orders
from sekisho.usecases.hold_logged_on import hold_logged_on

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank
    from sekisho.usecases.ports import Ports
    from sekisho.usecases.resume_session import LoggedOn


def name_computer(ports: Ports, *, bank: Bank, logged_on: LoggedOn, computer: str, address: str) -> None:
    """Note the name; an empty one takes it away. Raises `DetailsNotAllowed`."""
    now = ports.now()
    certificate, person = logged_on.certificate, logged_on.person
    computer = one_line(computer)
    problem = name_problem(computer, LONGEST_COMPUTER) if computer else None
    if problem is not None:
        raise DetailsNotAllowed(fields={"computer": problem})

    def name(tx: Connection) -> None:
        hold_logged_on(tx, person.id, logged_on.session, certificate.id, bank=bank, now=now)
        if (orders.origin_of(tx, certificate.order_id).computer or "") == computer:
            return
        orders.name_computer(tx, certificate.order_id, computer or None)
        actor = audit.actor_of(person.who, address)
        audit.add(tx, "computer-named", actor, at=now, who=person.who, person_id=person.id, serial=certificate.serial)

    ports.db.write(name)
