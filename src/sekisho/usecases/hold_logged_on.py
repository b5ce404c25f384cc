"""Whoever is logged on is looked at again in the transaction that acts for them: much may have ended since the request.

A request waits - for argon2, for a mail server, for whoever else decides
about the person - and what it read of the session at its beginning may be
seconds old by then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.errors import SessionRefused
from sekisho.store import people, sessions

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank, Person
    from sekisho.domain.session import Session


def hold_logged_on(
    tx: Connection, person_id: int, session: Session, certificate_id: int, *, bank: Bank, now: datetime
) -> Person:
    """Hold a person in `tx` and return them, where their door is open and their session is good as both stand then.

    Whoever decides about a person holds them, so nobody takes their session
    away between this and the end of `tx`. Raises why the door is shut, or why the session is
    not good any more.
    """
    person = people.hold(tx, person_id)
    person.check_door()
    present = sessions.get(tx, session.id)
    if present is None:
        raise SessionRefused
    present.check(certificate_id, bank.policy, now)
    return person
