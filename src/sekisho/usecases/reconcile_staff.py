"""Keep the journal of the staff's CA, and compare the staff's certificates with it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sekisho.ca.staff_journal import StaffSigned
from sekisho.domain.session import SessionEnd
from sekisho.store import audit, staff, staff_sessions
from sekisho.usecases.findings import Disagreement, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.store.audit import Actor
    from sekisho.store.staff import StaffCertificate, StoredCertificate
    from sekisho.usecases.findings import Tally
    from sekisho.usecases.ports import Ports, StaffRecord

STAFF = "staff"


def journal_staff(ports: Ports, *, bank: str, signed: StaffSigned | None = None) -> None:
    """Write into the journal what was signed just now, and what has ended and is not there yet.

    Called once the table has it, and before anybody is given the
    certificate. So where the journal knows what the table does not, the
    table was set back. Nothing else of the table is believed, but for the
    first time: then all that an earlier version had signed is taken in.
    """
    journal = _journal(ports, bank)
    if journal is None:
        return
    if journal.begun and signed is not None:
        journal.add([signed])
    _catch_up(journal, _stored(ports, bank))


def signed_of(staff_id: str, certificate: StaffCertificate, now: datetime) -> StaffSigned:
    """Return a certificate as the journal has it."""
    return StaffSigned(staff_id, certificate.serial, certificate.der, now, certificate.not_after)


def staff_is_behind(ports: Ports, *, bank: str) -> bool:
    """Tell whether the table lacks a certificate that the journal has, or an end."""
    journal = _journal(ports, bank)
    if journal is None or not journal.begun:
        return False
    known = journal.records()  # before the table is read: what the journal has, the table had before
    stored = _stored(ports, bank)
    return any(_forgotten(one, stored.get(one.serial)) for one in known)


def end_staff_again(ports: Ports, *, bank: str, actor: Actor) -> Iterator[Finding]:
    """End what the journal knows to have ended, where the table has forgotten it."""
    journal = _journal(ports, bank)
    if journal is None or not journal.begun:
        return
    known = journal.records()
    stored = _stored(ports, bank)
    for one in known:
        if _forgotten(one, stored.get(one.serial)) is Disagreement.ENDING_FORGOTTEN and _end(ports, bank, one, actor):
            yield Finding(Disagreement.ENDING_FORGOTTEN, STAFF, one.serial, repaired=True)


def reconcile_staff(ports: Ports, *, bank: str, actor: Actor, repair: bool, tally: Tally) -> Iterator[Finding]:
    """Yield what does not agree about the staff's certificates; `repair` puts right what can be.

    One that the table has forgotten is not stored again: its holder's PIN
    and roles may be older than it. It opens no door; `repair` notes in the
    journal that it has ended, and its holder is given another.
    """
    journal = _journal(ports, bank)
    if journal is None:
        return
    if repair:
        yield from end_staff_again(ports, bank=bank, actor=actor)
    stored = _stored(ports, bank)
    _catch_up(journal, stored)
    known = {one.serial: one for one in journal.records()} if journal.begun else {}
    stored = _stored(ports, bank)  # after the journal: what that has, the table had before
    for one in known.values():
        what = _compared(one, stored.get(one.serial))
        if what is Disagreement.MISSING and repair:
            journal.note_ended([(one.serial, ports.now())])
            yield Finding(what, STAFF, one.serial, repaired=True, why=f"give {one.staff_id} another one")
        elif what is not None:
            yield Finding(what, STAFF, one.serial)
    tally.journal += len(known)
    tally.certificates += len(stored)
    alone = [row for serial, row in stored.items() if serial not in known and row.ended_at is None]
    if alone:
        # One that is being added just now is in the table first.
        late = {one.serial for one in journal.records()}
        yield from (Finding(Disagreement.NOT_IN_JOURNAL, STAFF, row.serial) for row in alone if row.serial not in late)


def _journal(ports: Ports, bank: str) -> StaffRecord | None:
    journal = ports.staff_records.get(bank)
    return journal if journal is not None and journal.here else None


def _stored(ports: Ports, bank: str) -> dict[int, StoredCertificate]:
    with ports.db.read() as tx:
        return {row.serial: row for row in staff.certificates_of_bank(tx, bank)}


def _catch_up(journal: StaffRecord, stored: Mapping[int, StoredCertificate]) -> None:
    """Write down ends that the journal lacks, and everything where there was no journal before."""
    if not journal.begun:
        if stored:
            journal.add(
                [
                    StaffSigned(row.staff_id, row.serial, row.der, row.issued_at, row.not_after, row.ended_at)
                    for row in stored.values()
                ]
            )
        return
    lacking = {one.serial for one in journal.records() if one.ended_at is None}
    ended = [
        (row.serial, row.ended_at) for row in stored.values() if row.ended_at is not None and row.serial in lacking
    ]
    if ended:
        journal.note_ended(ended)


def _forgotten(one: StaffSigned, row: StoredCertificate | None) -> Disagreement | None:
    """Return in what way the table has forgotten a certificate of the journal."""
    if row is None:
        # One that has ended opens no door, whether or not the table knows of it.
        return Disagreement.MISSING if one.ended_at is None else None
    return Disagreement.ENDING_FORGOTTEN if one.ended_at is not None and row.ended_at is None else None


def _compared(one: StaffSigned, row: StoredCertificate | None) -> Disagreement | None:
    if row is not None and row.fingerprint != hashlib.sha256(one.der).digest():
        return Disagreement.DIFFERS
    return _forgotten(one, row)


def _end(ports: Ports, bank: str, one: StaffSigned, actor: Actor) -> bool:
    now = ports.now()

    def end(tx: Connection) -> bool:
        holder = staff.end_certificate(tx, bank, one.serial, one.ended_at or now)
        if holder is None:
            return False
        ended = staff_sessions.end_all(tx, holder, SessionEnd.CERTIFICATE, now)
        audit.add_of_bank(
            tx,
            "staff-certificate-ended",
            actor,
            at=now,
            bank=bank,
            serial=one.serial,
            staff=one.staff_id,
            sessions_ended=ended,
        )
        return True

    return ports.db.write(end)
