"""A company asks for a contract: received from paper, and once approved registered with everything on its slip (J7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sekisho.domain.customer_card import CardState
from sekisho.domain.entries import mail_address_problem, name_problem, one_line, read_mail_address
from sekisho.domain.errors import DetailsNotAllowed
from sekisho.domain.person import PersonId, is_contract_id
from sekisho.domain.request_forms import FormKind, RequestForm, Step, number_of, roles_for
from sekisho.domain.secret import SecretName, normal_form
from sekisho.domain.staff import is_branch
from sekisho.store import audit, cards, contracts, request_forms
from sekisho.usecases.cards import DrawnCard, draw_card
from sekisho.usecases.enter_console import present_staff
from sekisho.usecases.move_form import find_form, hold_form, write_down
from sekisho.usecases.provisional_pins import IssuedPins
from sekisho.usecases.put_contracts import NewContract, NewPerson, PreparedContract, put_contracts
from sekisho.usecases.register_contract import prepare_contract
from sekisho.usecases.register_unopened import RegisteredContract, draw_contract_id, draw_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank
    from sekisho.store.audit import Actor
    from sekisho.usecases.enter_console import AtWork
    from sekisho.usecases.ports import Ports

# What stands on the form, by the names under which it is typed and kept; `branch` besides, by the operations centre.
FIELDS = ("contract_id", "company_name", "company_kana", "administrator_name", "mail_address")


def file_opening(ports: Ports, *, at_work: AtWork, typed: Mapping[str, str]) -> str:
    """File what came on paper, received by whoever enters it, and return its number.

    The contract has the ID that was typed, or one that is drawn now. Raises
    `DetailsNotAllowed`, and `RoleMissing`.
    """
    now = ports.now()
    detail = _read(typed)
    detail.setdefault("contract_id", draw_contract_id(ports))
    branch = normal_form(typed.get("branch", "")) or None

    def file(tx: Connection) -> str:
        staff, hand = present_staff(tx, at_work)
        staff.require(*roles_for(Step.RECEIVE))
        if contracts.find(tx, staff.bank, detail["contract_id"]) is not None:
            raise DetailsNotAllowed(fields={"contract_id": "contract-id-taken"})
        if staff.branch is None and branch is not None and not is_branch(branch):
            raise DetailsNotAllowed(fields={"branch": "branch-form"})
        form_id = request_forms.file(
            tx,
            FormKind.CONTRACT_OPENING,
            bank=staff.bank,
            branch=staff.branch or branch,
            contract_id=None,
            user_id=None,
            detail=detail,
            now=now,
            entered=hand,
        )
        who, number = PersonId(staff.bank, detail["contract_id"]), number_of(form_id)
        kind = FormKind.CONTRACT_OPENING.value
        audit.add(tx, "form-received", at_work.actor, at=now, who=who, form=number, kind=kind)
        return number

    return ports.db.write(file)


def _read(typed: Mapping[str, str]) -> dict[str, str]:
    """Return what stands on the form, in the form in which it is kept. Raises `DetailsNotAllowed`."""
    read = {name: one_line(typed.get(name, "")) for name in FIELDS}
    read["contract_id"] = normal_form(read["contract_id"]).replace("-", "")
    read["mail_address"] = read_mail_address(read["mail_address"])
    problems = {
        "contract_id": "contract-id-form" if read["contract_id"] and not is_contract_id(read["contract_id"]) else None,
        "company_name": name_problem(read["company_name"]),
        "company_kana": name_problem(read["company_kana"]) if read["company_kana"] else None,
        "administrator_name": name_problem(read["administrator_name"]),
        "mail_address": mail_address_problem(read["mail_address"]) if read["mail_address"] else None,
    }
    if wrong := {name: problem for name, problem in problems.items() if problem}:
        raise DetailsNotAllowed(fields=wrong)
    return {name: value for name, value in read.items() if value}


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A contract as it is to be registered, what its slip says, and its card."""

    prepared: PreparedContract
    secrets: RegisteredContract
    card: DrawnCard


def carry_out_opening(ports: Ports, *, bank: Bank, at_work: AtWork, number: str) -> IssuedPins:
    """Register the contract of an approved form, order its card, and return what stands on the slip.

    The administrator has a permit at once, and confirms the opening (開通確認)
    once the card is there. Raises as `carry_out_form` does, and
    `ContractIdTaken` where the ID was given to another since.
    """
    now = ports.now()
    with ports.db.read() as tx:
        drawn = _draw(ports, find_form(tx, at_work.staff, number), now)

    def carry_out(tx: Connection) -> IssuedPins:
        form, _, hand = hold_form(tx, at_work, number, Step.CARRY_OUT)
        state = form.check_step(Step.CARRY_OUT, hand)
        issued = _open(tx, ports, bank, drawn, at_work.actor, now)
        request_forms.move(tx, form, state, now=now, contract_id=drawn.secrets.contract_id)
        write_down(tx, form, "form-carried-out", at_work.actor, now)
        return issued

    return ports.db.write(carry_out)


def _draw(ports: Ports, form: RequestForm, now: datetime) -> _Drawn:
    detail = form.detail
    secrets = draw_secrets(ports, detail["contract_id"])
    administrator = NewPerson(
        None,
        detail["administrator_name"],
        detail.get("mail_address"),
        "ja",
        secrets.contract_pin,
        secrets.contract_confirmation_pin,
    )
    new = NewContract(
        secrets.contract_id,
        detail["company_name"],
        (administrator,),
        secrets.registration_pin,
        branch=form.branch,
        kana=detail.get("company_kana"),
    )
    return _Drawn(prepare_contract(ports, new), secrets, draw_card(ports, PersonId(form.bank, new.contract_id), now))


def _open(tx: Connection, ports: Ports, bank: Bank, drawn: _Drawn, actor: Actor, now: datetime) -> IssuedPins:
    put_contracts(tx, ports, bank, [drawn.prepared], actor, now)
    who = PersonId(bank.code, drawn.secrets.contract_id)
    cards.add(
        tx,
        who,
        number=drawn.card.number,
        state=CardState.ORDERED,
        sealed=drawn.card.sealed,
        now=now,
        expected_at=drawn.card.expected_at,
    )
    audit.add(tx, "card-ordered", actor, at=now, who=who, card=drawn.card.number)
    pins = {
        SecretName.PIN: drawn.secrets.contract_pin,
        SecretName.CONFIRMATION_PIN: drawn.secrets.contract_confirmation_pin,
        SecretName.REGISTRATION_PIN: drawn.secrets.registration_pin,
    }
    name = drawn.prepared.contract.everyone[0].name
    return IssuedPins(who, name, pins, now + bank.policy.acquisition_window, acquires=True)
