"""Who is logged on: one's own session, and for an administrator what the contract's users have open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sekisho.store import orders, sessions

if TYPE_CHECKING:
    from datetime import datetime

    from sekisho.domain.contract import Bank
    from sekisho.domain.person import PersonId
    from sekisho.store.sessions import OpenSession
    from sekisho.usecases.ports import Ports
    from sekisho.usecases.resume_session import LoggedOn


@dataclass(frozen=True, slots=True)
class OwnSession:
    """The session that asks: since when, until when at the latest, from where."""

    opened_at: datetime
    ends_at: datetime
    address: str
    computer: str | None


def read_own_session(ports: Ports, *, bank: Bank, logged_on: LoggedOn) -> OwnSession:
    """Return the session that asks."""
    session = logged_on.session
    with ports.db.read() as tx:
        return OwnSession(
            opened_at=session.opened_at,
            ends_at=session.opened_at + bank.policy.session_life,
            address=sessions.address_of(tx, session.id),
            computer=orders.origin_of(tx, logged_on.certificate.order_id).computer,
        )


def read_sessions_of_users(ports: Ports, *, bank: Bank, administrator: PersonId) -> list[OpenSession]:
    """Return what the contract's users have open, in the order of their IDs."""
    now = ports.now()
    with ports.db.read() as tx:
        return sessions.open_of_users(
            tx,
            administrator.bank,
            administrator.contract_id,
            opened_after=now - bank.policy.session_life,
            seen_after=now - bank.policy.session_idle,
        )


def was_ended(ports: Ports, *, administrator: PersonId, session_id: int) -> bool:
    """Tell whether the administrator ended that session of a user."""
    with ports.db.read() as tx:
        return sessions.was_ended_for_user(tx, administrator.bank, administrator.contract_id, session_id)
