"""An administrator follows the contract's request forms, and withdraws what the branch has not received yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.errors import FormMoved, FormUnknown
from sekisho.domain.request_forms import FormState, row_of
from sekisho.store import request_forms
from sekisho.usecases.emergency_stop import Demand, hold_whose
from sekisho.usecases.move_form import tell, write_down

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank
    from sekisho.domain.person import PersonId
    from sekisho.domain.request_forms import RequestForm
    from sekisho.usecases.ports import Ports

_SHOWN = 100


def own_forms(ports: Ports, *, administrator: PersonId) -> Sequence[RequestForm]:
    """Return the contract's newest forms, those on paper included."""
    with ports.db.read() as tx:
        return request_forms.of_contract(tx, administrator.bank, administrator.contract_id, most=_SHOWN)


def withdraw_own_form(ports: Ports, *, bank: Bank, demand: Demand, number: str) -> None:
    """Withdraw a form filed on screen. Raises `FormUnknown`, and `FormMoved` once the branch has it in hand."""
    now = ports.now()

    def withdraw(tx: Connection) -> None:
        person = hold_whose(tx, bank, demand, now)
        row = row_of(number)
        if row is None:
            raise FormUnknown
        request_forms.lock(tx, row)
        form = request_forms.find(tx, row)
        if form is None or (form.bank, form.contract_id) != (person.who.bank, person.who.contract_id):
            raise FormUnknown
        if form.state is not FormState.FILED:
            raise FormMoved
        request_forms.move(tx, form, FormState.WITHDRAWN, now=now)
        write_down(tx, form, "form-withdrawn", demand.actor, now)
        tell(tx, form, "form-withdrawn", now)

    ports.db.write(withdraw)
