"""The operators make somebody of the bank known to the console, and give them a certificate and a PIN anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sekisho.domain.errors import DetailsNotAllowed, StaffUnknown
from sekisho.domain.secret import new_provisional_pin, normal_form, pin_problems
from sekisho.domain.session import SessionEnd
from sekisho.domain.staff import Role, Staff, check_roles, is_branch, is_staff_id
from sekisho.store import audit, staff, staff_sessions
from sekisho.usecases.grant_role import granter
from sekisho.usecases.reconcile_staff import journal_staff, signed_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank
    from sekisho.store.audit import Actor
    from sekisho.store.staff import StaffCertificate
    from sekisho.usecases.ports import Ports

_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class NewStaff:
    """Somebody who starts; `branch` is three digits, None for the operations centre."""

    staff_id: str
    name: str
    branch: str | None
    roles: Sequence[Role]


def add_staff(
    ports: Ports,
    *,
    bank: Bank,
    new: NewStaff,
    issue: Callable[[str], StaffCertificate],
    actor: Actor,
    by: str | None = None,
) -> tuple[Staff, str]:
    """Register them with roles and a certificate, and return them with their PIN, which is nowhere kept in clear.

    `issue` makes the certificate for a staff ID; nobody is to have it before
    this returns, since it stands in the journal of its CA only then. `by` is the staff ID of
    whoever grants the roles. Raises `DetailsNotAllowed`, `RolesConflict`,
    `StaffIdTaken`, and `StaffUnknown` for `by`.
    """
    now = ports.now()
    _check(new)
    pin = _draw_pin(ports, new.staff_id)
    verifier = ports.pins.hash(pin)
    certificate = issue(new.staff_id)

    def add(tx: Connection) -> Staff:
        granted_by, granted_by_id = granter(tx, bank, actor, by)
        row = staff.add(tx, bank.code, new.staff_id, name=new.name, branch=new.branch, verifier=verifier, now=now)
        staff.add_certificate(tx, row, certificate, now)
        audit.add_of_bank(
            tx,
            "staff-added",
            actor,
            at=now,
            bank=bank.code,
            serial=certificate.serial,
            staff=new.staff_id,
            branch=new.branch,
        )
        for role in dict.fromkeys(new.roles):
            staff.grant(tx, row, role, by=granted_by, by_id=granted_by_id, now=now)
            audit.add_of_bank(
                tx, "role-granted", actor, at=now, bank=bank.code, staff=new.staff_id, role=role.value, by=granted_by
            )
        return staff.get(tx, row)

    added = ports.db.write(add)
    journal_staff(ports, bank=bank.code, signed=signed_of(added.staff_id, certificate, now))
    return added, pin


def renew_staff(
    ports: Ports, *, bank: Bank, staff_id: str, issue: Callable[[str], StaffCertificate], actor: Actor
) -> tuple[Staff, str]:
    """Give them a new certificate and a new PIN, and let them in again; what they had ends. Raises `StaffUnknown`."""
    now = ports.now()
    with ports.db.read() as tx:
        known = _present(tx, bank, staff_id)
    pin = _draw_pin(ports, known.staff_id)
    verifier = ports.pins.hash(pin)
    certificate = issue(known.staff_id)

    def renew(tx: Connection) -> Staff:
        staff.lock(tx, known.id)
        _present(tx, bank, staff_id)
        staff.end_certificates(tx, known.id, now)
        staff_sessions.end_all(tx, known.id, SessionEnd.CERTIFICATE, now)
        staff.add_certificate(tx, known.id, certificate, now)
        staff.set_pin(tx, known.id, verifier, now)
        audit.add_of_bank(
            tx, "staff-renewed", actor, at=now, bank=bank.code, serial=certificate.serial, staff=known.staff_id
        )
        return staff.get(tx, known.id)

    renewed = ports.db.write(renew)
    journal_staff(ports, bank=bank.code, signed=signed_of(known.staff_id, certificate, now))
    return renewed, pin


def _present(tx: Connection, bank: Bank, staff_id: str) -> Staff:
    found = staff.find(tx, bank.code, normal_form(staff_id))
    if found is None or found.ended_at is not None:
        raise StaffUnknown
    return found


def _check(new: NewStaff) -> None:
    wrong = {}
    if not is_staff_id(new.staff_id):
        wrong["staff_id"] = "user-id"
    if not (new.name.strip() and len(new.name) <= _LONGEST_NAME and new.name.isprintable()):
        wrong["name"] = "name"
    if new.branch is not None and not is_branch(new.branch):
        wrong["branch"] = "branch"
    if wrong:
        raise DetailsNotAllowed(fields=wrong)
    check_roles(new.roles)


def _draw_pin(ports: Ports, staff_id: str) -> str:
    while pin_problems(pin := new_provisional_pin(ports.entropy), ids=(staff_id,)):
        pass
    return pin
