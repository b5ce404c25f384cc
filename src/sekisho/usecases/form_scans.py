"""Scans of a request form's paper: added by whoever receives forms, read by whoever sees the form, each on record."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sekisho.domain.errors import FormMoved, FormUnknown, ScanNotAccepted
from sekisho.domain.person import PersonId
from sekisho.domain.request_forms import ENDED, RequestForm, Step
from sekisho.domain.scan import LARGEST, MOST, ScanKind, scan_kind
from sekisho.paper.pdf import read_pdf
from sekisho.store import audit, scans
from sekisho.usecases.move_form import find_form, hold_form

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.usecases.enter_console import AtWork
    from sekisho.usecases.ports import Ports


def add_scan(ports: Ports, *, at_work: AtWork, number: str, content: bytes) -> None:
    """Keep a scan with its form, encrypted. The same file again, as a form sent twice has it, is kept once.

    Raises `ScanNotAccepted`, `FormUnknown`, `RoleMissing`, and `FormMoved`
    for a form that has ended.
    """
    now = ports.now()
    kind = _read(content)
    sha256 = hashlib.sha256(content).digest()
    with ports.db.read() as tx:
        sealed = ports.seal.seal_bytes(content, _owner(find_form(tx, at_work.staff, number)))

    def add(tx: Connection) -> None:
        form, _, hand = hold_form(tx, at_work, number, Step.CHECK_SEAL)
        if form.state in ENDED:
            raise FormMoved
        present = scans.of_form(tx, form.id)
        if any(one.sha256 == sha256 for one in present):
            return
        if len(present) >= MOST:
            raise ScanNotAccepted(fields={"scan": "scan-many"})
        scan_id = scans.add(
            tx,
            form.id,
            kind,
            size=len(content),
            sha256=sha256,
            sealed=sealed,
            added_by=hand.staff,
            now=now,
        )
        _note(tx, "scan-added", form, scan_id, sha256, at_work, now)

    ports.db.write(add)


def read_scan(ports: Ports, *, at_work: AtWork, number: str, scan_id: int) -> tuple[ScanKind, bytes]:
    """Return a scan, with an audit row that says who looked. Raises `FormUnknown` where there is none of theirs."""
    now = ports.now()

    def read(tx: Connection) -> tuple[ScanKind, bytes]:
        form = find_form(tx, at_work.staff, number)
        found = scans.sealed(tx, form.id, scan_id)
        if found is None:
            raise FormUnknown
        kind, sealed = found
        content = ports.seal.open_bytes(sealed, _owner(form))
        _note(tx, "scan-read", form, scan_id, hashlib.sha256(content).digest(), at_work, now)
        return kind, content

    return ports.db.write(read)


def _read(content: bytes) -> ScanKind:
    if not content:
        raise ScanNotAccepted(fields={"scan": "entry-missing"})
    if len(content) > LARGEST:
        raise ScanNotAccepted(fields={"scan": "scan-too-large"})
    kind = scan_kind(content)
    if kind is None:
        raise ScanNotAccepted(fields={"scan": "scan-kind"})
    if kind is ScanKind.PDF and (problem := read_pdf(content)) is not None:
        raise ScanNotAccepted(fields={"scan": problem.value})
    return kind


def _owner(form: RequestForm) -> str:
    """Name what a scan is sealed for: it opens with no other form."""
    return f"scan:{form.bank}:{form.id}"


def _note(
    tx: Connection, action: str, form: RequestForm, scan_id: int, sha256: bytes, at_work: AtWork, now: datetime
) -> None:
    who = None if form.recorded_under is None else PersonId(form.bank, form.recorded_under)
    shown = sha256.hex()
    if who is None:
        audit.add_of_bank(
            tx, action, at_work.actor, at=now, bank=form.bank, form=form.number, scan=scan_id, sha256=shown
        )
    else:
        audit.add(tx, action, at_work.actor, at=now, who=who, form=form.number, scan=scan_id, sha256=shown)
