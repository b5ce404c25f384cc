"""The administrator lets a user in again whom misses had shut out (利用中止解除, J9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.errors import UserNotSuspended
from sekisho.domain.secret import PINS
from sekisho.store import audit, people, secrets
from sekisho.usecases.change_user import find_user, tell_both
from sekisho.usecases.confirm import Confirmation, confirmed

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank, Person
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports


def lift_suspension(ports: Ports, *, bank: Bank, confirmation: Confirmation, user_id: str) -> None:
    """Open the user's door and start the counts of their PINs anew. Raises `UserUnknown` or `UserNotSuspended`."""
    now = ports.now()

    def lift(tx: Connection, administrator: Person, actor: Actor) -> None:
        user = people.hold(tx, find_user(tx, administrator.who, user_id).id)
        if not people.reopen(tx, user.id):
            raise UserNotSuspended
        secrets.clear_misses(tx, [user.id], PINS)
        audit.add(tx, "user-lifted", actor, at=now, who=user.who, person_id=user.id)
        tell_both(tx, user, "user-lifted", now)

    confirmed(ports, bank=bank, confirmation=confirmation, now=now, act=lift)
