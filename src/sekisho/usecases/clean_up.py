"""Remove for good what is of no use to anybody any more."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sekisho.store import sessions

if TYPE_CHECKING:
    from sekisho.usecases.ports import Ports

# Longer than any certificate lives. The status screen shows the last logons until then; the audit rows keep all.
SESSIONS_KEPT = timedelta(days=400)
_AT_ONCE = 1000


def clean_up(ports: Ports) -> int:
    """Remove some of what is old, the oldest first, and return how much."""
    now = ports.now()
    return ports.db.write(lambda tx: sessions.remove_old(tx, now - SESSIONS_KEPT, _AT_ONCE))
