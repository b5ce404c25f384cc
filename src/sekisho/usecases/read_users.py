"""The users of a contract as their administrator sees them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sekisho.domain.errors import UserUnknown
from sekisho.domain.person import PersonId, is_user_id
from sekisho.domain.secret import normal_form
from sekisho.store import certificates, people, permits, sessions

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.certificate import Certificate
    from sekisho.domain.contract import Person
    from sekisho.domain.permit import Permit
    from sekisho.usecases.ports import Ports


class UserState(StrEnum):
    """Where a user's certificate stands, in one word."""

    SUSPENDED = "suspended"
    PERMIT = "permit"
    IN_FORCE = "in-force"
    REVOKED = "revoked"
    EXPIRED = "expired"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class UserLine:
    """One user with their newest certificate, the permit that waits for them, and their last logon."""

    person: Person
    state: UserState
    certificate: Certificate | None
    permit: Permit | None
    last_logon: datetime | None


def read_users(ports: Ports, *, administrator: PersonId) -> list[UserLine]:
    """Return the contract's users in the order of their IDs."""
    now = ports.now()
    with ports.db.read() as tx:
        users = people.users_of(tx, administrator.bank, administrator.contract_id)
        return [_line(tx, user, now) for user in users]


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
        return _line(tx, user, now)


def _line(tx: Connection, user: Person, now: datetime) -> UserLine:
    certificate = certificates.latest(tx, user.id)
    permit = permits.latest(tx, user.id)
    if permit is not None and not permit.is_open(now):
        permit = None
    logons = sessions.last_logons(tx, user.id, 1)
    return UserLine(
        person=user,
        state=_state(user, certificate, permit, now),
        certificate=certificate,
        permit=permit,
        last_logon=logons[0].at if logons else None,
    )


def _state(user: Person, certificate: Certificate | None, permit: Permit | None, now: datetime) -> UserState:
    if user.closed_at is not None:
        return UserState.SUSPENDED
    if permit is not None:
        return UserState.PERMIT
    if certificate is None:
        return UserState.NONE
    if certificate.ended_at is not None:
        return UserState.REVOKED
    if certificate.suspended_at is not None:
        return UserState.SUSPENDED
    return UserState.IN_FORCE if certificate.in_force(now) else UserState.EXPIRED
