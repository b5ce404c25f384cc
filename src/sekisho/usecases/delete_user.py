"""The administrator deletes a user; the user ID is never given again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.certificate import Ending, Reason
from sekisho.domain.session import SessionEnd
from sekisho.store import audit, notices, people, secrets, sessions
from sekisho.usecases.change_user import end_all, find_user
from sekisho.usecases.confirm import Confirmation, confirmed
from sekisho.usecases.journal_endings import journal_at_once

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank, Person
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports


def delete_user(ports: Ports, *, bank: Bank, confirmation: Confirmation, user_id: str) -> None:
    """End whatever the user holds or could get, forget what they knew, and tell both. Raises `UserUnknown`."""
    now = ports.now()

    def delete(tx: Connection, administrator: Person, actor: Actor) -> None:
        user = people.hold(tx, find_user(tx, administrator.who, user_id).id)
        end_all(tx, user, Ending.REVOKED, Reason.CESSATION_OF_OPERATION, actor, now)
        sessions.end_of_people(tx, [user.id], SessionEnd.CLOSED, now)
        secrets.remove_all(tx, user.id)
        people.mark_deleted(tx, user.id, now)
        audit.add(tx, "user-deleted", actor, at=now, who=user.who, person_id=user.id)
        for told in (user.id, administrator.id):
            notices.add(tx, told, "user-deleted", now, user_id=user.who.user_id)

    confirmed(ports, bank=bank, confirmation=confirmation, now=now, act=delete)
    journal_at_once(ports, bank=bank.code)
