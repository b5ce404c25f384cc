"""Log off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.session import SessionEnd
from sekisho.store import audit, sessions

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sekisho.domain.session import Session
    from sekisho.usecases.ports import Ports


def log_off(ports: Ports, *, session: Session, address: str) -> None:
    """End the session; one that has ended stays as it ended."""
    now = ports.now()

    def end(tx: Connection) -> None:
        if sessions.end(tx, session.id, SessionEnd.LOGOFF, now):
            audit.add(tx, "logged-off", audit.actor_of(session.person, address), at=now, who=session.person)

    ports.db.write(end)
