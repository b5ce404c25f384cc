"""The administrator takes back a user's leave to acquire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.errors import NothingToWithdraw
from sekisho.store import audit, people, permits, secrets
from sekisho.usecases.change_user import find_user, tell_both
from sekisho.usecases.confirm import Confirmation, confirmed

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank, Person
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports


def withdraw_permit(ports: Ports, *, bank: Bank, confirmation: Confirmation, user_id: str) -> None:
    """Withdraw the open permit, and with it provisional PINs. Raises `UserUnknown` or `NothingToWithdraw`."""
    now = ports.now()

    def withdraw(tx: Connection, administrator: Person, actor: Actor) -> None:
        user = people.hold(tx, find_user(tx, administrator.who, user_id).id)
        if not permits.withdraw_open(tx, user.id, now):
            raise NothingToWithdraw
        secrets.end_provisional(tx, user.id, now)
        audit.add(tx, "permit-withdrawn", actor, at=now, who=user.who, person_id=user.id)
        tell_both(tx, user, "permit-withdrawn", now)

    confirmed(ports, bank=bank, confirmation=confirmation, now=now, act=withdraw)
