"""Tell people that their permit has ended by time, and write it down."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from sekisho.store import audit, notices, people, permits

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank
    from sekisho.domain.permit import Permit
    from sekisho.usecases.ports import Ports

_ACTOR = audit.Actor(audit.SYSTEM)
# Whoever came in time to spend it may still be at it.
_LEFT_ALONE = timedelta(minutes=2)


def expire_permits(ports: Ports, *, bank: Bank) -> int:
    """Do it for some of those that ended a moment ago or longer; return how many."""
    now = ports.now()
    with ports.db.read() as tx:
        over = permits.over(tx, bank.code, until=now - _LEFT_ALONE)
    for permit in over:
        ports.db.write(partial(_expire, permit=permit, now=now))
    return len(over)


def _expire(tx: Connection, *, permit: Permit, now: datetime) -> None:
    told = people.told_of(tx, permit.person)
    people.lock(tx, told[:1])
    if not permits.mark_expired(tx, permit.id, now):
        return
    audit.add(tx, "permit-expired", _ACTOR, at=now, who=permit.person, person_id=told[0])
    for person_id in told:
        notices.add(
            tx, person_id, "permit-expired", now, user_id=permit.person.user_id, until=permit.expires_at.isoformat()
        )
