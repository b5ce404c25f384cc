"""An auditor looks through the audit trail of the bank; that they did stands there, too."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from sekisho.domain.errors import RoleMissing
from sekisho.domain.person import PersonId, is_contract_id
from sekisho.domain.secret import normal_form
from sekisho.domain.staff import Role, is_staff_id
from sekisho.store import audit, audit_search, contracts, staff
from sekisho.store.audit_search import Asked, FoundRows

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.staff import Staff
    from sekisho.usecases.enter_console import AtWork
    from sekisho.usecases.ports import Ports

ON_A_PAGE = 50
# Nothing was written before; and there is room to reckon with zones and days beyond the last.
YEARS = range(1970, 3000)
_LONGEST_ACTION = 40
_ACTION = re.compile(rf"[a-z0-9-]{{1,{_LONGEST_ACTION}}}")
# Rows stand in the order of their moments but for a minute, and but for a clock that was set.
OUT_OF_ORDER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an auditor looks for: any of it may be left open, and `before` is where the page begins."""

    since: datetime | None = None
    until: datetime | None = None
    staff_id: str = ""
    contract_id: str = ""
    action: str = ""
    before: int | None = None


def check_auditor(staff: Staff) -> None:
    """Raise `RoleMissing` for whoever is no auditor of the operations centre: the trail is that of all branches."""
    staff.require(Role.AUDITOR)
    if staff.branch is not None:
        raise RoleMissing


def search_audit(ports: Ports, *, at_work: AtWork, wanted: Wanted) -> FoundRows:
    """Return rows of the bank, the newest first, with an audit row that says who looked for what.

    An ID that nobody has, and what no action is called, finds nothing. Where few rows fit, a page may be
    empty and lead on nevertheless.
    """
    now = ports.now()
    bank = at_work.staff.bank
    check_auditor(at_work.staff)
    contract_id, staff_id = normal_form(wanted.contract_id), normal_form(wanted.staff_id)

    def note(tx: Connection) -> str | None:
        known = is_contract_id(contract_id) and contracts.find(tx, bank, contract_id) is not None
        row = audit.row(
            "audit-read",
            at_work.actor,
            at=now,
            who=PersonId(bank, contract_id) if known else None,
            contract=None if known else _kept(contract_id, 11),
            staff=_kept(staff_id, 30),
            looked_for=_kept(wanted.action, _LONGEST_ACTION),
            since=_told(wanted.since),
            until=_told(wanted.until),
        )
        audit.add_all(tx, [{**row, "bank": bank}])
        found = staff.find(tx, bank, staff_id) if is_staff_id(staff_id) else None
        return None if found is None else found.staff_id

    of_staff = ports.db.write(note)
    nobody = (contract_id and not is_contract_id(contract_id)) or (staff_id and of_staff is None)
    if nobody or (wanted.action and not _ACTION.fullmatch(wanted.action)):
        return FoundRows((), None)
    with ports.db.read() as tx:
        asked = Asked(
            bank,
            since=wanted.since,
            until=wanted.until,
            actor=None if of_staff is None else f"staff:{of_staff}",
            contract_id=contract_id or None,
            action=wanted.action or None,
            before=wanted.before,
        )
        return audit_search.search(tx, within(tx, asked, OUT_OF_ORDER), most=ON_A_PAGE)


def within(tx: Connection, asked: Asked, room: timedelta) -> Asked:
    """Bound by number what is bound by time, with room for what is out of order."""
    if asked.since is not None:
        asked = replace(asked, first=audit_search.place_of(tx, asked.since - room)[0])
    if asked.until is not None:
        asked = replace(asked, last=audit_search.place_of(tx, asked.until + room)[1])
    return asked


def _kept(typed: str, longest: int) -> str | None:
    """Return what was typed as it goes into an audit row; PostgreSQL takes no NUL."""
    return "".join(letter for letter in typed[:longest] if letter.isprintable()) or None


def _told(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
