"""What a system of the bank shuts at once, without anybody at a screen: a certificate, or leave to acquire (ADR 0090).

Either only takes away, and people give it back by a form that is approved.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sekisho.domain.errors import DetailsNotAllowed, NothingToWithdraw, TooManyRequests
from sekisho.domain.person import PersonId, is_user_id
from sekisho.domain.secret import normal_form
from sekisho.domain.staff import Role
from sekisho.store import audit, certificates, people, permits, secrets, system_answers
from sekisho.store.system_answers import OF_REQUEST, SHUT
from sekisho.usecases.change_user import tell_both
from sekisho.usecases.enter_console import present_staff
from sekisho.usecases.find_contracts import visible, visible_certificate
from sekisho.usecases.serve_systems import answered_before
from sekisho.usecases.suspend_certificate import suspend_with_successor

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.certificate import Certificate
    from sekisho.domain.contract import Person
    from sekisho.domain.permit import Permit
    from sekisho.domain.staff import Staff
    from sekisho.store.system_answers import Asked
    from sekisho.usecases.enter_console import AtWork
    from sekisho.usecases.ports import Ports

# Of what is shut one by one a bank hears from its customers long before this; a system that was taken over shuts no
# bank out.
MOST_IN_AN_HOUR = 100
_HOUR = timedelta(hours=1)


def suspend_for_system(ports: Ports, *, at_work: AtWork, asked: Asked, serial: int) -> Certificate:
    """Suspend a certificate and what is to take its place, end its sessions, and return it as it stands then.

    One that is suspended already or has ended stays as it is. Raises
    `SerialUnknown`, and `TooManyRequests` where the system has shut much
    within the hour.
    """
    now = ports.now()

    def suspend(tx: Connection) -> Certificate:
        staff, before = _begin(tx, at_work, asked, now)
        certificate = visible_certificate(tx, staff, serial)
        if before is None:
            person = people.find(tx, certificate.person)
            if person is not None:
                person = people.hold(tx, person.id)
                held = certificates.get(tx, certificate.id)
                if suspend_with_successor(tx, person, held, actor=at_work.actor, now=now):
                    tell_both(tx, person, "certificate-suspended", now)
            _keep(tx, asked, "", now)
        return certificates.get(tx, certificate.id)

    return ports.db.write(suspend)


def withdraw_for_system(ports: Ports, *, at_work: AtWork, asked: Asked, contract_id: str, user_id: str) -> Permit:
    """Withdraw a person's open permit, provisional PINs with it, and return it.

    `user_id` is empty for the administrator. Raises `ContractUnknown`,
    `DetailsNotAllowed`, `NothingToWithdraw`, and `TooManyRequests` as above.
    """
    now = ports.now()

    def withdraw(tx: Connection) -> Permit:
        staff, before = _begin(tx, at_work, asked, now)
        if before is not None:
            return permits.get(tx, int(before))
        contract = visible(tx, staff, contract_id)
        person = people.hold(tx, _named(tx, PersonId(contract.bank, contract.contract_id), user_id).id)
        latest = permits.latest(tx, person.id)
        if latest is None or not permits.withdraw_open(tx, person.id, now):
            raise NothingToWithdraw
        secrets.end_provisional(tx, person.id, now)
        audit.add(tx, "permit-withdrawn", at_work.actor, at=now, who=person.who, person_id=person.id, permit=latest.id)
        tell_both(tx, person, "permit-withdrawn", now)
        _keep(tx, asked, str(latest.id), now)
        return permits.get(tx, latest.id)

    return ports.db.write(withdraw)


def _begin(tx: Connection, at_work: AtWork, asked: Asked, now: datetime) -> tuple[Staff, str | None]:
    """Return the system, held, and what this request was answered before. Raises where it has shut too much."""
    staff, _ = present_staff(tx, at_work)
    staff.require(Role.SYSTEM)
    before = answered_before(tx, asked)
    if before is None and system_answers.count_since(tx, staff.id, SHUT, now - _HOUR) >= MOST_IN_AN_HOUR:
        raise TooManyRequests
    return staff, before


def _keep(tx: Connection, asked: Asked, answer: str, now: datetime) -> None:
    system_answers.keep(tx, asked, {OF_REQUEST: answer, SHUT: ""}, now)


def _named(tx: Connection, company: PersonId, typed: str) -> Person:
    wanted = normal_form(typed) or None
    if wanted is None or is_user_id(wanted):
        found = people.find(tx, PersonId(company.bank, company.contract_id, wanted))
        if found is not None:
            return found
    raise DetailsNotAllowed(fields={"user_id": "user-unknown"})
