"""Remind people of what is about to end: their certificate (J8), or their permit to acquire one."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from sekisho.store import notices, people, permits, reminders, successors

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank
    from sekisho.domain.permit import Permit
    from sekisho.store.successors import Ends
    from sekisho.usecases.ports import Ports

_AT_ONCE = 500
_NONE = timedelta(0)
# Who was granted a permit today was told today.
_TOLD_JUST_NOW = timedelta(days=1)


def remind_of_renewal(ports: Ports, *, bank: Bank) -> int:
    """Remind the holders of certificates that come to their end, some at a time; return how many were looked at.

    Each reminder goes through the certificates in the order of their ends
    and writes down how far it has come, in the transaction that writes the
    notices: so nobody is reminded twice, and nobody left out after a pause.
    A nearer reminder stands for the ones before it.
    """
    windows = sorted({_NONE, *bank.policy.reminders})
    return sum(_remind(ports, bank, window, nearer) for nearer, window in pairwise(windows))


def _remind(ports: Ports, bank: Bank, window: timedelta, nearer: timedelta) -> int:
    now = ports.now()
    days = window.days

    def due(tx: Connection, *, held: bool) -> list[Ends]:
        place = reminders.reached(tx, bank.code, days, held=held)
        return successors.by_end(tx, bank.code, after=place or (now, 0), until=now + window, most=_AT_ONCE)

    def remind(tx: Connection) -> int:
        if reminders.reached(tx, bank.code, days, held=True) is None:
            reminders.begin(tx, bank.code, days, (now, 0))
        ends = due(tx, held=True)
        told = [
            (one.person_id, {"until": one.not_after.isoformat()})
            for one in ends
            # One that was issued inside the window needs no reminder of it.
            if not one.dealt_with and one.not_after > now + nearer and one.issued_at <= one.not_after - window
        ]
        notices.add_all(tx, told, "renewal-due", now)
        if ends:
            reminders.advance(tx, bank.code, days, (ends[-1].not_after, ends[-1].id))
        return len(ends)

    with ports.db.read() as tx:
        if not due(tx, held=False):
            return 0
    return ports.db.write(remind)


def remind_of_permits(ports: Ports, *, bank: Bank) -> int:
    """Remind people of permits that end soon and were not spent, and their administrators; return how many."""
    now = ports.now()
    until = now + bank.policy.permit_reminder

    def soon(tx: Connection) -> list[Permit]:
        return permits.ending_soon(tx, bank.code, now=now, until=until, granted_until=now - _TOLD_JUST_NOW)

    with ports.db.read() as tx:
        found = soon(tx)
    for permit in found:
        ports.db.write(partial(_tell, permit=permit, now=now))
    return len(found)


def _tell(tx: Connection, *, permit: Permit, now: datetime) -> None:
    if permits.mark_reminded(tx, permit.id, now):
        for person_id in people.told_of(tx, permit.person):
            notices.add(
                tx, person_id, "permit-ends-soon", now,
                user_id=permit.person.user_id, until=permit.expires_at.isoformat(),
            )  # fmt: skip
