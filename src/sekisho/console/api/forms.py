"""Request forms: those under way, one, and filing what came on paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query

from sekisho.console.api.answers import CONFLICT, NOT_FOUND
from sekisho.console.api.bodies import FiledBody, FormBody, FormsBody, NewFormBody
from sekisho.console.api.caller import Caller, IdempotencyKey, System, TheSite
from sekisho.usecases.file_form import file_at_counter
from sekisho.usecases.read_forms import read_form, waiting_forms
from sekisho.usecases.serve_systems import read_asked

if TYPE_CHECKING:
    from datetime import datetime

    from sekisho.domain.request_forms import RequestForm

router = APIRouter(tags=["forms"])
_ROW = 2**63 - 1


@router.get("/forms")
def list_forms(site: TheSite, current: Caller, after: Annotated[int, Query(ge=0, le=_ROW)] = 0) -> FormsBody:
    """List forms under way."""
    found, now = waiting_forms(site.ports, staff=current.staff, after=after), site.ports.now()
    return FormsBody(forms=[_form(one, now) for one in found.forms], next=found.after)


@router.get("/forms/{number}", responses=NOT_FOUND)
def get_form(site: TheSite, current: Caller, number: str) -> FormBody:
    """Return one form; who looked is on record."""
    return _form(read_form(site.ports, at_work=current, number=number).form, site.ports.now())


@router.post("/forms", status_code=201, responses=NOT_FOUND | CONFLICT)
def file_form(site: TheSite, current: System, body: NewFormBody, idempotency_key: IdempotencyKey) -> FiledBody:
    """File a form as received; its seal is checked, it is approved and carried out by people at the console."""
    number = file_at_counter(
        site.ports,
        at_work=current,
        contract_id=body.contract_id,
        kind=body.kind,
        user_id=body.user_id,
        detail=body.detail,
        asked=read_asked(current, idempotency_key, b"form " + body.model_dump_json().encode()),
    )
    return FiledBody(number=number)


def _form(form: RequestForm, now: datetime) -> FormBody:
    return FormBody(
        number=form.number,
        kind=form.kind.value,
        state=form.state.value,
        contract_id=form.contract_id,
        user_id=form.user_id,
        branch=form.branch,
        detail=dict(form.detail),
        filed_at=form.filed_at,
        moved_at=form.moved_at,
        overdue=form.overdue(now),
        reason=form.reason,
    )
