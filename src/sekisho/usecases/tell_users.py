"""Tell a contract's users what shuts all of them out, or lets them in again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.store import notices, people

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.person import PersonId

SHUT_OUT, LET_IN = "users-shut-out", "users-let-in"


def tell_users(tx: Connection, who: PersonId, code: str, now: datetime) -> None:
    """Tell the users of the contract of `who`. None of them need have done anything, so the reason is not told.

    That they are let in, is told to those who are: the contract may be shut
    for another reason still, and so may a user.
    """
    users = people.users_of(tx, who.bank, who.contract_id)
    if code == LET_IN:
        users = [user for user in users if user.door_open]
    notices.add_all(tx, [(user.id, {}) for user in users], code, now)
