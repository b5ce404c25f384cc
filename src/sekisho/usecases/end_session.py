"""The administrator ends the session of a user, who may log on again at once.

No PIN is asked, as for an emergency stop: whoever sees a session that should
not be there must not stumble over one, and nobody gains anything by the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.errors import SessionUnknown
from sekisho.domain.session import SessionEnd
from sekisho.store import audit, people, sessions
from sekisho.usecases.change_user import tell_both
from sekisho.usecases.emergency_stop import Demand, hold_whose

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank
    from sekisho.usecases.ports import Ports


def end_session_of_user(ports: Ports, *, bank: Bank, demand: Demand, session_id: int) -> None:
    """End it and tell both. Raises `SessionUnknown` where no user of the contract has it open any more."""
    now = ports.now()

    def end(tx: Connection) -> None:
        who = hold_whose(tx, bank, demand, now).who
        found = sessions.open_of_users(
            tx,
            who.bank,
            who.contract_id,
            opened_after=now - bank.policy.session_life,
            seen_after=now - bank.policy.session_idle,
            session_id=session_id,
        )
        if not found:
            raise SessionUnknown
        user = people.hold(tx, found[0].person_id)
        if not sessions.end(tx, session_id, SessionEnd.BY_ADMINISTRATOR, now):
            raise SessionUnknown
        audit.add(tx, "session-ended", demand.actor, at=now, who=user.who, person_id=user.id, session=session_id)
        tell_both(tx, user, "session-ended", now)

    ports.db.write(end)
