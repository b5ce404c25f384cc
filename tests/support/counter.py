"""A bank's counter, where request forms go their whole way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.staff import Office
from tests.support.world import CONTRACT, World

from sekisho.domain.request_forms import FormKind, FormState, Step, row_of
from sekisho.domain.staff import Role
from sekisho.usecases.carry_out_form import carry_out_form
from sekisho.usecases.file_form import file_at_counter
from sekisho.usecases.move_form import move_form

if TYPE_CHECKING:
    from sekisho.usecases.enter_console import AtWork
    from sekisho.usecases.provisional_pins import IssuedPins


class Counter:
    """A bank's counter: a clerk, an approver, and the operations centre's operator."""

    def __init__(self, bank: World) -> None:
        self.bank = bank
        self.office = Office(bank)
        self.clerk = self.office.add("kakari01", Role.CLERK)
        self.approver = self.office.add("kenin01", Role.APPROVER)
        self.at_clerk, self.at_approver = self.clerk.at_work(), self.approver.at_work()

    def file(self, kind: FormKind, user_id: str = "", /, **detail: str) -> str:
        return self.file_by(self.at_clerk, kind, user_id, **detail)

    def file_by(self, at_work: AtWork, kind: FormKind, user_id: str = "", /, **detail: str) -> str:
        return file_at_counter(
            self.bank.ports,
            at_work=at_work,
            contract_id=CONTRACT,
            kind=kind.value,
            user_id=user_id,
            detail=detail,
        )

    def move(self, number: str, step: Step, by: AtWork | None = None, reason: str = "") -> FormState:
        return move_form(self.bank.ports, at_work=by or self.at_clerk, number=number, step=step, reason=reason)

    def approved(self, kind: FormKind, user_id: str = "", **detail: str) -> str:
        number = self.file(kind, user_id, **detail)
        assert self.move(number, Step.CHECK_SEAL) is FormState.SEAL_CHECKED
        assert self.move(number, Step.APPROVE, self.at_approver) is FormState.APPROVED
        return number

    def carry_out(self, number: str, by: AtWork | None = None) -> IssuedPins | None:
        return carry_out_form(self.bank.ports, bank=self.bank.bank, at_work=by or self.at_clerk, number=number)

    def through(self, kind: FormKind, user_id: str = "", **detail: str) -> IssuedPins | None:
        return self.carry_out(self.approved(kind, user_id, **detail))

    def state(self, number: str) -> str:
        return str(self.bank.rows("SELECT state FROM request_forms WHERE id = :id", id=row_of(number))[0].state)
