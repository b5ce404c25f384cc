"""What the bank's own people see of request forms: those under way, and one with all that was done to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sekisho.store import audit, contracts, request_forms, scans
from sekisho.store.audit_search import Asked
from sekisho.usecases.move_form import find_form, write_down
from sekisho.usecases.search_audit import within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from sekisho.domain.request_forms import RequestForm
    from sekisho.domain.staff import Staff
    from sekisho.store.contracts import Contract
    from sekisho.store.scans import Scan
    from sekisho.usecases.enter_console import AtWork
    from sekisho.usecases.ports import Ports

ON_A_PAGE = 50
_AUDIT_ROWS = 1000
# A clock may have been set back by hours; nobody sets one back by more than a day.
_OUT_OF_ORDER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class WaitingForms:
    """One page of what is under way, the oldest first; `after` is where the next one begins, None on the last."""

    forms: Sequence[RequestForm]
    after: int | None


@dataclass(frozen=True, slots=True)
class WholeForm:
    """A form with its contract and what was done to it, the oldest first: action, actor, at."""

    form: RequestForm
    contract: Contract | None
    done: Sequence[dict[str, Any]]
    scans: Sequence[Scan] = ()


def waiting_forms(ports: Ports, *, staff: Staff, after: int = 0) -> WaitingForms:
    """Return what has not ended and is theirs to see."""
    with ports.db.read() as tx:
        found = request_forms.waiting(tx, staff, after=after, most=ON_A_PAGE + 1)
    shown = found[:ON_A_PAGE]
    return WaitingForms(shown, shown[-1].id if len(found) > ON_A_PAGE else None)


def read_form(ports: Ports, *, at_work: AtWork, number: str) -> WholeForm:
    """Return one form, with an audit row that says who looked. Raises `FormUnknown`."""
    now = ports.now()

    def read(tx: Connection) -> WholeForm:
        form = find_form(tx, at_work.staff, number)
        contract = None if form.contract_id is None else contracts.find(tx, form.bank, form.contract_id)
        write_down(tx, form, "form-read", at_work.actor, now)
        return WholeForm(form, contract, _done(tx, form), scans.of_form(tx, form.id))

    return ports.db.write(read)


def _done(tx: Connection, form: RequestForm) -> list[dict[str, Any]]:
    """Return what was done to a form, however busy its contract is: from the place in the trail where it was filed."""
    if form.recorded_under is None:
        return []
    first = within(tx, Asked(form.bank, since=form.filed_at), _OUT_OF_ORDER).first
    done: list[dict[str, Any]] = []
    rows = None
    while rows is None or len(rows) == _AUDIT_ROWS:
        rows = audit.of_forms(tx, form.bank, form.recorded_under, first=first, but="form-read", most=_AUDIT_ROWS)
        done += [row for row in rows if row["detail"].get("form") == form.number]
        first = rows[-1]["id"] + 1 if rows else first
    return done
