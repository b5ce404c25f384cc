"""The console's door: certificate and PIN, a session of its own, and who is there on every request."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sekisho.domain.errors import (
    CertificateExpired,
    CertificateMissing,
    CertificateNotYetValid,
    CertificateOtherBank,
    CertificateRevoked,
    CertificateUnknown,
    EntryWrong,
    Refusal,
    RoleMissing,
    SessionRefused,
    StaffClosed,
)
from sekisho.domain.request_forms import Hand
from sekisho.domain.session import SessionEnd
from sekisho.domain.staff import Role
from sekisho.store import audit, staff, staff_sessions
from sekisho.usecases.log_on import check_entry, token_sha256

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank
    from sekisho.domain.staff import Staff, StaffSession
    from sekisho.store.audit import Actor
    from sekisho.store.staff import AtConsole
    from sekisho.usecases.ports import Ports

# Each note of "somebody is there" is a flushed write; one in this long is enough for a limit of minutes.
_TOUCH_AFTER = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class AtWork:
    """Who is logged on at the console, with the roles that they have at this moment, from where.

    A system of the bank has no session: it shows its certificate with each
    request.
    """

    session: StaffSession | None
    staff: Staff
    certificate_id: int
    address: str

    @property
    def actor(self) -> Actor:
        """The person as an actor."""
        return audit.staff_actor(self.staff, self.address)


def meet_staff(ports: Ports, *, bank: Bank, der: bytes | None) -> AtConsole:
    """Return whose certificate it is, or raise why no PIN is asked."""
    now = ports.now()
    with ports.db.read() as tx:
        visitor = show_staff(tx, der, bank, now)
    _check_person(visitor.staff)
    return visitor


def enter_staff_pin(ports: Ports, *, bank: Bank, der: bytes | None, pin: str, address: str) -> bytes:
    """Take the PIN and open a session; return the cookie's token.

    Misses count as at the customers' doors: behind a certificate only, one
    after the other, and the door is shut at the limit.
    """
    now = ports.now()
    check_entry(pin, "staff_pin")
    with ports.db.read() as tx:
        checked = show_staff(tx, der, bank, now)
    _check_person(checked.staff)
    right = ports.pins.verify(checked.verifier, pin)
    token = ports.entropy(32)

    def judge_and_open(tx: Connection) -> Refusal | None:
        staff.lock(tx, checked.staff.id)
        # Ended or closed while argon2 was busy: then it opens nothing any more.
        present = show_staff(tx, der, bank, now)
        actor = audit.staff_actor(present.staff, address)
        if (refusal := judge_staff_pin(tx, present, checked, bank, actor, now, right=right)) is not None:
            return refusal
        session_id = staff_sessions.open_session(
            tx,
            token_sha256=token_sha256(token),
            staff_row=present.staff.id,
            certificate_id=present.certificate_id,
            address=address,
            now=now,
        )
        staff_sessions.end_all(tx, present.staff.id, SessionEnd.ELSEWHERE, now, but=session_id)
        staff.clear_misses(tx, present.staff.id)
        audit.add_of_bank(tx, "staff-logged-on", actor, at=now, bank=bank.code, serial=present.serial)
        return None

    # A counted miss is told once it is committed.
    if (refusal := ports.db.write(judge_and_open)) is not None:
        raise refusal
    return token


def judge_staff_pin(
    tx: Connection, present: AtConsole, checked: AtConsole, bank: Bank, actor: Actor, now: datetime, *, right: bool
) -> Refusal | None:
    """Judge one entry of a PIN, of somebody who is held by `tx`: None, or what is told once that is committed."""
    limit = bank.policy.misses_before_closed
    if present.staff.closed_at is not None:
        return StaffClosed()
    if right:
        # One that was set anew meanwhile is another PIN.
        return None if present.verifier == checked.verifier else EntryWrong()
    misses = staff.count_miss(tx, present.staff.id, checked.verifier)
    audit.add_of_bank(tx, "entry-missed", actor, at=now, bank=bank.code, secret="staff-pin", misses=misses)  # noqa: S106 - a name
    if misses is None or misses < limit:
        return EntryWrong()
    staff.close(tx, present.staff.id, now)
    staff_sessions.end_all(tx, present.staff.id, SessionEnd.CLOSED, now)
    audit.add_of_bank(tx, "staff-closed", actor, at=now, bank=bank.code)
    return StaffClosed()


def resume_work(ports: Ports, *, bank: Bank, der: bytes | None, token: bytes | None, address: str) -> AtWork:
    """Return who is logged on, or raise why nobody is. Roles and branch are read anew each time."""
    now = ports.now()
    with ports.db.read() as tx:
        session = None if token is None else staff_sessions.of_token(tx, token_sha256(token))
        visitor = show_staff(tx, der, bank, now)
    if session is None:
        raise SessionRefused
    session.check(visitor.certificate_id, bank.policy, now)
    visitor.staff.check_door()
    if not -_TOUCH_AFTER < now - session.seen_at < _TOUCH_AFTER:
        ports.db.write(lambda tx: staff_sessions.touch(tx, session.id, now))
    return AtWork(session, visitor.staff, visitor.certificate_id, address)


def meet_system(ports: Ports, *, bank: Bank, der: bytes | None, address: str) -> AtWork | None:
    """Return the system of the bank whose certificate it is, or None where it is a person's.

    Raises why the certificate is not good.
    """
    now = ports.now()
    with ports.db.read() as tx:
        visitor = show_staff(tx, der, bank, now)
    if Role.SYSTEM not in visitor.staff.roles:
        return None
    return AtWork(None, visitor.staff, visitor.certificate_id, address)


def present_staff(tx: Connection, at_work: AtWork) -> tuple[Staff, Hand]:
    """Return who is logged on as they are in `tx`, held by it, and as the hand that moves a form.

    Whoever left, or was logged off, since the request began is told so.
    """
    staff.lock(tx, at_work.staff.id)
    present = staff.get(tx, at_work.staff.id)
    if at_work.session is None:
        present.require(Role.SYSTEM)
        if not staff.is_certified(tx, at_work.certificate_id):
            raise CertificateRevoked
    elif not staff_sessions.is_open(tx, at_work.session.id):
        raise SessionRefused
    present.check_door()
    approver = next((grant for grant in present.grants if grant.role is Role.APPROVER), None)
    return present, Hand(present.id, at_work.certificate_id, None if approver is None else approver.granted_by_id)


def leave_console(ports: Ports, *, bank: Bank, at_work: AtWork) -> None:
    """Log off; a session that has ended stays as it ended."""
    now = ports.now()
    session = at_work.session
    if session is None:
        return

    def leave(tx: Connection) -> None:
        if staff_sessions.end(tx, session.id, SessionEnd.LOGOFF, now):
            audit.add_of_bank(tx, "staff-logged-off", at_work.actor, at=now, bank=bank.code)

    ports.db.write(leave)


def _check_person(shown: Staff) -> None:
    """Refuse whoever is shut out, and a program, which has nothing to enter."""
    shown.check_door()
    if Role.SYSTEM in shown.roles:
        raise RoleMissing


def show_staff(tx: Connection, der: bytes | None, bank: Bank, now: datetime) -> AtConsole:
    """Return who holds it. Nothing that stands inside is believed: its SHA-256 is looked up."""
    if der is None:
        raise CertificateMissing
    found = staff.of_fingerprint(tx, hashlib.sha256(der).digest())
    if found is None:
        raise CertificateUnknown
    if found.staff.bank != bank.code:
        raise CertificateOtherBank
    if found.certificate_ended_at is not None or found.staff.ended_at is not None:
        raise CertificateRevoked
    if now < found.not_before:
        raise CertificateNotYetValid
    if now >= found.not_after:
        raise CertificateExpired(until=found.not_after)
    return found
