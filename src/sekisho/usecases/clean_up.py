"""Remove for good what is of no use to anybody any more."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sekisho.store import scans, sessions, staff_sessions, system_answers

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sekisho.usecases.ports import Ports

# Longer than any certificate lives. The status screen shows the last logons until then; the audit rows keep all.
SESSIONS_KEPT = timedelta(days=400)
# A system that heard no answer asks again long before that.
ANSWERS_KEPT = timedelta(days=1)
# What a company showed that became no customer; a request that is made again comes with new papers.
REFUSED_PAPERS_KEPT = timedelta(days=365)
_AT_ONCE = 1000


def clean_up(ports: Ports) -> int:
    """Remove some of what is old, the oldest first, and return how much."""
    now = ports.now()
    before = now - SESSIONS_KEPT

    def remove(tx: Connection) -> int:
        ended = sessions.remove_old(tx, before, _AT_ONCE) + staff_sessions.remove_old(tx, before, _AT_ONCE)
        ended += scans.remove_where_no_contract_came(tx, now - REFUSED_PAPERS_KEPT, _AT_ONCE)
        return ended + system_answers.remove_old(tx, now - ANSWERS_KEPT, _AT_ONCE)

    return ports.db.write(remove)
