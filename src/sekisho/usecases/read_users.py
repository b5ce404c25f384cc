"""The users of a contract as their administrator sees them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from sekisho.domain.errors import UserUnknown
from sekisho.domain.person import PersonId, is_user_id
from sekisho.domain.secret import normal_form
from sekisho.store import certificates, orders, people, permits, sessions

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.certificate import Certificate
    from sekisho.domain.contract import Person
    from sekisho.domain.permit import Permit
    from sekisho.store.orders import Origin
    from sekisho.usecases.ports import Ports


class UserState(StrEnum):
    """Where a user's certificate stands, in one word."""

    STOPPED = "stopped"
    SUSPENDED = "suspended"
    PERMIT = "permit"
    IN_FORCE = "in-force"
    REVOKED = "revoked"
    EXPIRED = "expired"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class UserLine:
    """One user with their newest certificate, the permit that waits for them, and their last logon.

    `origin` says where that certificate was asked for; it is read for one user only.
    """

    person: Person
    state: UserState
    certificate: Certificate | None
    permit: Permit | None
    last_logon: datetime | None
    origin: Origin | None = None


def read_users(ports: Ports, *, administrator: PersonId) -> list[UserLine]:
    """Return the contract's users in the order of their IDs."""
    now = ports.now()
    with ports.db.read() as tx:
        return _lines(tx, people.users_of(tx, administrator.bank, administrator.contract_id), now)


def read_user(ports: Ports, *, administrator: PersonId, user_id: str) -> UserLine:
    """Return one user of the contract. Raises `UserUnknown`."""
    now = ports.now()
    user_id = normal_form(user_id)
    if not is_user_id(user_id):
        raise UserUnknown
    with ports.db.read() as tx:
        user = people.find(tx, PersonId(administrator.bank, administrator.contract_id, user_id))
        if user is None:
            raise UserUnknown
        line = _lines(tx, [user], now)[0]
        if line.certificate is None:
            return line
        return replace(line, origin=orders.origin_of(tx, line.certificate.order_id))


def _lines(tx: Connection, users: list[Person], now: datetime) -> list[UserLine]:
    """Return a line for each user: three statements, however many there are."""
    ids = [user.id for user in users]
    held = certificates.latest_of(tx, ids)
    granted = permits.latest_of(tx, ids)
    logons = sessions.last_logon_of(tx, ids)
    lines = []
    for user in users:
        permit = granted.get(user.id)
        if permit is not None and not permit.is_open(now):
            permit = None
        certificate = held.get(user.id)
        state = _state(user, certificate, permit, now)
        lines.append(UserLine(user, state, certificate, permit, logons.get(user.id)))
    return lines


def _state(user: Person, certificate: Certificate | None, permit: Permit | None, now: datetime) -> UserState:
    if user.stopped_at is not None:
        return UserState.STOPPED
    if user.closed_at is not None:
        return UserState.SUSPENDED
    return UserState.PERMIT if permit is not None else _state_of(certificate, now)


def _state_of(certificate: Certificate | None, now: datetime) -> UserState:
    if certificate is None:
        return UserState.NONE
    if certificate.over:
        return UserState.REVOKED
    if certificate.suspended_at is not None:
        return UserState.SUSPENDED
    return UserState.IN_FORCE if certificate.in_force(now) else UserState.EXPIRED
