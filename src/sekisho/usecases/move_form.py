"""The bank's people move a request form on: receive, compare the seal, approve, return, withdraw (J11)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.entries import name_problem, one_line
from sekisho.domain.errors import DetailsNotAllowed, FormUnknown, RoleMissing
from sekisho.domain.person import PersonId
from sekisho.domain.request_forms import FormState, Hand, RequestForm, Step, roles_for, row_of
from sekisho.domain.secret import normal_form
from sekisho.domain.staff import Role
from sekisho.store import audit, notices, people, request_forms
from sekisho.usecases.enter_console import present_staff

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.staff import Staff
    from sekisho.store.audit import Actor
    from sekisho.usecases.enter_console import AtWork
    from sekisho.usecases.ports import Ports

LONGEST_REASON = 200
_TOLD = {Step.RETURN: "form-returned", Step.WITHDRAW: "form-withdrawn"}


def move_form(ports: Ports, *, at_work: AtWork, number: str, step: Step, reason: str = "") -> FormState:
    """Do one step, and return where the form stands then. Whoever comes second is told so.

    Raises `FormUnknown`, `RoleMissing`, `FormMoved`, `FourEyes`, and
    `DetailsNotAllowed` where a form is returned or withdrawn without a
    reason. Carrying one out has a use case of its own.
    """
    if step is Step.CARRY_OUT:
        raise ValueError("carrying a form out does more than move it")
    now = ports.now()
    why = _reason(step, reason)

    def move(tx: Connection) -> FormState:
        form, staff, hand = hold_form(tx, at_work, number, step)
        state = form.check_step(step, hand)
        if step is Step.APPROVE:
            request_forms.approve(tx, form, hand, _role_id(staff), now)
        request_forms.move(
            tx,
            form,
            state,
            now=now,
            entered=hand if step is Step.RECEIVE else None,
            seal_checked=hand if step is Step.CHECK_SEAL else None,
            reason=why,
        )
        write_down(tx, form, f"form-{state.value}", at_work.actor, now)
        if step in _TOLD:
            tell(tx, form, _TOLD[step], now)
        return state

    return ports.db.write(move)


def hold_form(tx: Connection, at_work: AtWork, number: str, step: Step) -> tuple[RequestForm, Staff, Hand]:
    """Return a form, held by `tx`, and who moves it. Raises `FormUnknown` and `RoleMissing`."""
    staff, hand = present_staff(tx, at_work)
    form = find_form(tx, staff, number, held=True)
    staff.require(*roles_for(step))
    return form, staff, hand


def find_form(tx: Connection, staff: Staff, number: str, *, held: bool = False) -> RequestForm:
    """Return a form that is theirs to see, by its number. Raises `FormUnknown`, whatever the reason."""
    row = row_of("".join(normal_form(number).split()))
    if row is None:
        raise FormUnknown
    if held:
        request_forms.lock(tx, row)
    form = request_forms.find(tx, row)
    if form is None or not staff.sees(form.bank, form.branch):
        raise FormUnknown
    return form


def write_down(tx: Connection, form: RequestForm, action: str, actor: Actor, now: datetime) -> None:
    """Write an audit row about a form."""
    number, kind = form.number, form.kind.value
    if form.recorded_under is None:
        audit.add_of_bank(tx, action, actor, at=now, bank=form.bank, form=number, kind=kind)
    else:
        audit.add(tx, action, actor, at=now, who=PersonId(form.bank, form.recorded_under), form=number, kind=kind)


def tell(tx: Connection, form: RequestForm, code: str, now: datetime) -> None:
    """Tell the contract's administrator what became of a form."""
    if form.contract_id is not None:
        for person_id in people.told_of(tx, PersonId(form.bank, form.contract_id)):
            notices.add(tx, person_id, code, now, number=form.number)


def _reason(step: Step, typed: str) -> str | None:
    if step not in {Step.RETURN, Step.WITHDRAW}:
        return None
    reason = one_line(typed)
    if problem := name_problem(reason, LONGEST_REASON):
        raise DetailsNotAllowed(fields={"reason": problem})
    return reason


def _role_id(staff: Staff) -> int:
    for grant in staff.grants:
        if grant.role is Role.APPROVER:
            return grant.id
    raise RoleMissing
