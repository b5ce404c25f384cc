"""The operators grant a role, and take one away; both take effect at the person's next request."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sekisho.ca.blocks import JournalBroken
from sekisho.ca.segments import JournalInUse, JournalNotWritten
from sekisho.domain.errors import RoleGranted, RoleMissing, RoleNotGranted, StaffUnknown
from sekisho.domain.secret import normal_form
from sekisho.domain.session import SessionEnd
from sekisho.domain.staff import Role, Staff, check_roles
from sekisho.store import audit, staff, staff_sessions
from sekisho.usecases.reconcile_staff import journal_staff

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports


log = logging.getLogger("sekisho.ca")


def grant_role(ports: Ports, *, bank: Bank, staff_id: str, role: Role, actor: Actor, by: str | None = None) -> Staff:
    """Grant it; `by` is the staff ID of whoever decides, where that is one of the bank's own people.

    Raises `StaffUnknown`, `RoleGranted`, `RolesConflict`, and `RoleMissing`
    where somebody would grant it to themselves.
    """
    now = ports.now()

    def grant(tx: Connection) -> Staff:
        holder = hold(tx, bank, staff_id)
        granted_by, granted_by_id = granter(tx, bank, actor, by)
        check_roles({*holder.roles, role})
        if granted_by_id == holder.id:
            raise RoleMissing
        if not staff.grant(tx, holder.id, role, by=granted_by, by_id=granted_by_id, now=now):
            raise RoleGranted
        audit.add_of_bank(
            tx, "role-granted", actor, at=now, bank=bank.code, staff=holder.staff_id, role=role.value, by=granted_by
        )
        return staff.get(tx, holder.id)

    return ports.db.write(grant)


def withdraw_role(ports: Ports, *, bank: Bank, staff_id: str, role: Role, actor: Actor) -> Staff:
    """Take it away. Raises `StaffUnknown` and `RoleNotGranted`."""
    now = ports.now()

    def withdraw(tx: Connection) -> Staff:
        holder = hold(tx, bank, staff_id)
        if not staff.withdraw(tx, holder.id, role, by=actor.name, now=now):
            raise RoleNotGranted
        audit.add_of_bank(tx, "role-withdrawn", actor, at=now, bank=bank.code, staff=holder.staff_id, role=role.value)
        return staff.get(tx, holder.id)

    return ports.db.write(withdraw)


def end_staff(ports: Ports, *, bank: Bank, staff_id: str, actor: Actor) -> Staff:
    """End everything that they have: roles, certificates, sessions. Their ID is never given again."""
    now = ports.now()

    def end(tx: Connection) -> Staff:
        holder = hold(tx, bank, staff_id)
        for role in sorted(holder.roles):
            staff.withdraw(tx, holder.id, role, by=actor.name, now=now)
        staff.end_certificates(tx, holder.id, now)
        ended = staff_sessions.end_all(tx, holder.id, SessionEnd.CERTIFICATE, now)
        staff.end(tx, holder.id, now)
        audit.add_of_bank(tx, "staff-ended", actor, at=now, bank=bank.code, staff=holder.staff_id, sessions_ended=ended)
        return staff.get(tx, holder.id)

    gone = ports.db.write(end)
    try:
        journal_staff(ports, bank=bank.code)
    except (JournalBroken, JournalInUse, JournalNotWritten) as unusable:
        # They are out, whatever the journal says; the next comparison writes it down.
        log.error("the journal of the staff's CA was not told that a certificate ended: %s", unusable)  # noqa: TRY400 - the trace says no more
    return gone


def hold(tx: Connection, bank: Bank, staff_id: str) -> Staff:
    """Return the one of that staff ID, held by `tx`. Raises `StaffUnknown`."""
    found = staff.find(tx, bank.code, normal_form(staff_id))
    if found is None:
        raise StaffUnknown
    staff.lock(tx, found.id)
    present = staff.get(tx, found.id)
    if present.ended_at is not None:
        raise StaffUnknown
    return present


def granter(tx: Connection, bank: Bank, actor: Actor, by: str | None) -> tuple[str, int | None]:
    """Return who grants, in words and as a row: whoever acts, or the one of staff ID `by`. Raises `StaffUnknown`."""
    if by is None:
        return actor.name, None
    found = staff.find(tx, bank.code, normal_form(by))
    if found is None or found.ended_at is not None:
        raise StaffUnknown
    return f"staff:{found.staff_id}", found.id
