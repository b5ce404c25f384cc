"""Emergency stop (緊急停止): shut at once on demand, and only the branch lifts it.

No PIN is asked: whoever finds their computer stolen, or somebody else at
work, must not stumble over one, and nobody gains anything by a stop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sekisho.domain.errors import FormWithoutEffect
from sekisho.domain.person import Kind
from sekisho.domain.session import SessionEnd
from sekisho.store import audit, certificates, notices, orders, people, permits, secrets, sessions
from sekisho.usecases.change_user import find_user
from sekisho.usecases.hold_logged_on import hold_logged_on
from sekisho.usecases.suspend_certificate import suspend_certificate, suspend_with_successor
from sekisho.usecases.tell_users import SHUT_OUT, tell_users

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank, Person
    from sekisho.domain.person import PersonId
    from sekisho.domain.session import Session
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports


@dataclass(frozen=True, slots=True)
class Demand:
    """Who demands the stop, logged on with which certificate, from where."""

    session: Session
    certificate_id: int
    address: str

    @property
    def actor(self) -> Actor:
        """The person as an actor."""
        return audit.actor_of(self.session.person, self.address)


def stop_certificate(ports: Ports, *, bank: Bank, demand: Demand) -> None:
    """Suspend the certificate that the person is logged on with, what is to take its place, and their sessions."""
    now = ports.now()

    def stop(tx: Connection) -> None:
        person = hold_whose(tx, bank, demand, now)
        held = certificates.get(tx, demand.certificate_id)
        suspend_with_successor(tx, person, held, actor=demand.actor, now=now)
        _tell(tx, person, "certificate-suspended", now)

    ports.db.write(stop)


def stop_user(ports: Ports, *, bank: Bank, demand: Demand, user_id: str) -> None:
    """Stop a user of the administrator's contract: nothing of theirs opens any more. Raises `UserUnknown`."""
    now = ports.now()

    def stop(tx: Connection) -> None:
        hold_whose(tx, bank, demand, now)
        user = people.hold(tx, find_user(tx, demand.session.person, user_id).id)
        shut(tx, [user], user, demand.actor, now)
        _tell(tx, user, "user-stopped", now)

    ports.db.write(stop)


def stop_contract(ports: Ports, *, bank: Bank, demand: Demand) -> None:
    """Stop the whole contract: neither the administrator nor any user gets in."""
    now = ports.now()

    def stop(tx: Connection) -> None:
        administrator = hold_whose(tx, bank, demand, now)
        who = administrator.who
        if who.kind is not Kind.ADMINISTRATOR:
            raise RuntimeError("a user has no contract to stop")
        shut(tx, hold_everyone(tx, who), administrator, demand.actor, now)
        notices.add(tx, administrator.id, "contract-stopped", now)
        tell_users(tx, who, SHUT_OUT, now)

    ports.db.write(stop)


def stop_at_branch(tx: Connection, person: Person, actor: Actor, now: datetime) -> None:
    """Stop a user, or with the administrator the whole contract, as the branch does; and tell them.

    Whoever asks holds the person. Raises `FormWithoutEffect` where they are stopped already.
    """
    if person.who.user_id is None:
        if person.contract_stopped_at is not None:
            raise FormWithoutEffect
        shut(tx, hold_everyone(tx, person.who), person, actor, now)
        notices.add(tx, person.id, "contract-stopped", now)
        tell_users(tx, person.who, SHUT_OUT, now)
        return
    if person.stopped_at is not None:
        raise FormWithoutEffect
    shut(tx, [person], person, actor, now)
    _tell(tx, person, "user-stopped", now)


def suspend_at_branch(tx: Connection, person: Person, actor: Actor, now: datetime) -> None:
    """Suspend whatever certificates a person has in force, take the leave back from an order under way, and tell them.

    Whoever asks holds the person. Raises `FormWithoutEffect` where there is nothing of either.
    """
    voided = orders.void_unfinished(tx, [person.id], now)
    suspended = [suspend_certificate(tx, one, actor=actor, now=now) for one in certificates.not_ended(tx, person.id)]
    if not voided and not any(suspended):
        raise FormWithoutEffect
    _tell(tx, person, "certificate-suspended", now)


def hold_whose(tx: Connection, bank: Bank, demand: Demand, now: datetime) -> Person:
    """Hold whoever demands something, where their session is still good."""
    person = people.find(tx, demand.session.person)
    if person is None:
        raise RuntimeError("a session without a person")
    return hold_logged_on(tx, person.id, demand.session, demand.certificate_id, bank=bank, now=now)


def hold_everyone(tx: Connection, who: PersonId) -> list[Person]:
    """Hold all people that a contract ever had, in the order of their rows."""
    held = people.hold_all(tx, people.ids_of_contract(tx, who.bank, who.contract_id))
    return [held[row] for row in sorted(held)]


def shut(tx: Connection, shut_out: list[Person], whose: Person, actor: Actor, now: datetime) -> None:
    """Shut a door, end the sessions of all whom it shuts out, and take back what they could still acquire."""
    people.stop(tx, whose.id, now)
    ids = [person.id for person in shut_out]
    ended = sessions.end_of_people(tx, ids, SessionEnd.CLOSED, now)
    # What was ordered and is not stored yet would be there once the stop is lifted, and its key is whose it was.
    orders.void_unfinished(tx, ids, now)
    for person in shut_out:
        permits.withdraw_open(tx, person.id, now)
        secrets.end_provisional(tx, person.id, now)
    audit.add(tx, "emergency-stopped", actor, at=now, who=whose.who, person_id=whose.id, sessions_ended=ended)


def _tell(tx: Connection, person: Person, code: str, now: datetime) -> None:
    administrator = people.find(tx, person.who.administrator)
    told = {person.id} if administrator is None else {person.id, administrator.id}
    for person_id in sorted(told):
        notices.add(tx, person_id, code, now, user_id=person.who.user_id)
