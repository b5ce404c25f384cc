"""A request form is filed: by a clerk from paper, or by a logged-on administrator on screen (J11)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sekisho.domain.entries import mail_address_problem, name_problem, one_line, read_mail_address
from sekisho.domain.errors import ChoiceMissing, DetailsNotAllowed, FormWithoutEffect
from sekisho.domain.person import PersonId, is_user_id
from sekisho.domain.request_forms import CHANGED_FIELDS, OF_USERS, FormKind, Step, number_of, roles_for
from sekisho.domain.secret import normal_form
from sekisho.store import audit, contracts, notices, people, request_forms, system_answers
from sekisho.store.system_answers import OF_REQUEST
from sekisho.usecases.carry_out_form import OF_CONTRACTS
from sekisho.usecases.confirm import Confirmation, confirmed
from sekisho.usecases.enter_console import present_staff
from sekisho.usecases.find_contracts import visible
from sekisho.usecases.serve_systems import answered_before

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank, Person
    from sekisho.domain.request_forms import Hand
    from sekisho.store.audit import Actor
    from sekisho.store.contracts import Contract
    from sekisho.store.system_answers import Asked
    from sekisho.usecases.enter_console import AtWork
    from sekisho.usecases.ports import Ports

# What concerns a contract that there is; an opening is filed by `file_opening`.
AT_COUNTER = tuple(kind for kind in FormKind if kind in OF_CONTRACTS)
# What a logged-on administrator can ask for on screen. Whoever is locked out or has lost the card or a PIN is not
# logged on, and a new contract has nobody yet.
ON_SCREEN = (
    FormKind.CERTIFICATE_REISSUE,
    FormKind.CERTIFICATE_REVOCATION,
    FormKind.EMERGENCY_STOP_LIFT,
    FormKind.CONTRACT_CHANGE,
    FormKind.CONTRACT_END,
)


def file_at_counter(
    ports: Ports,
    *,
    at_work: AtWork,
    contract_id: str,
    kind: str,
    user_id: str,
    detail: Mapping[str, str],
    asked: Asked | None = None,
) -> str:
    """File what came on paper, and return its number: it is received by whoever enters it.

    A system of the bank says with `asked` which of its requests this is: the
    same again gets the same number.

    Raises `ChoiceMissing`, `DetailsNotAllowed`, `ContractUnknown`, and
    `FormWithoutEffect` for a contract that has ended.
    """
    now = ports.now()
    chosen = read_kind(kind, AT_COUNTER)
    kept = read_detail(chosen, detail)

    def file(tx: Connection) -> str:
        staff, hand = present_staff(tx, at_work)
        staff.require(*roles_for(Step.RECEIVE))
        if asked is not None and (before := answered_before(tx, asked)) is not None:
            return before
        contract = visible(tx, staff, contract_id)
        wanted = _Wanted(contract, chosen, user_id, kept)
        number = _file(tx, wanted, at_work.actor, "form-received", now, entered=hand)
        if asked is not None:
            system_answers.keep(tx, asked, {OF_REQUEST: number}, now)
        return number

    return ports.db.write(file)


def file_on_screen(
    ports: Ports, *, bank: Bank, confirmation: Confirmation, kind: str, user_id: str, detail: Mapping[str, str]
) -> str:
    """File what the administrator asks for behind certificate and PINs, and return its number.

    Raises as `file_at_counter` does, and what a wrong confirmation PIN raises.
    """
    now = ports.now()
    chosen = read_kind(kind, ON_SCREEN)
    asked = read_detail(chosen, detail)

    def file(tx: Connection, administrator: Person, actor: Actor) -> str:
        contract = contracts.find(tx, administrator.who.bank, administrator.who.contract_id)
        if contract is None:
            raise RuntimeError("an administrator without a contract")
        wanted = _Wanted(contract, chosen, user_id, asked)
        return _file(tx, wanted, actor, "form-filed", now, filed_by_id=administrator.id)

    return confirmed(ports, bank=bank, confirmation=confirmation, now=now, act=file)


def read_detail(kind: FormKind, typed: Mapping[str, str]) -> dict[str, str]:
    """Return what a form asks for besides, in the form in which it is kept. Raises `DetailsNotAllowed`.

    Only a change of the contract names anything: at least one of its fields,
    and for another administrator both name and mail address.
    """
    if kind is not FormKind.CONTRACT_CHANGE:
        return {}
    read = {name: one_line(typed.get(name, "")) for name in CHANGED_FIELDS}
    read["mail_address"] = read_mail_address(read["mail_address"])
    problems = {name: name_problem(read[name]) for name in ("company", "kana", "new_administrator") if read[name]}
    if read["new_administrator"] or read["mail_address"]:
        problems["mail_address"] = mail_address_problem(read["mail_address"])
        problems.setdefault("new_administrator", name_problem(read["new_administrator"]))
    if read["kana"] and not read["company"]:
        problems["company"] = "entry-missing"
    if not any(read.values()):
        problems["company"] = "form-change-missing"
    if wrong := {name: problem for name, problem in problems.items() if problem}:
        raise DetailsNotAllowed(fields=wrong)
    return {name: value for name, value in read.items() if value}


def read_kind(typed: str, among: Collection[FormKind]) -> FormKind:
    """Return the kind that was chosen. Raises `ChoiceMissing`."""
    for kind in among:
        if typed == kind.value:
            return kind
    raise ChoiceMissing(fields={"kind": "choice-missing"})


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is asked for, of which contract; `user_id` as it was typed, `detail` as it is kept."""

    contract: Contract
    kind: FormKind
    user_id: str
    detail: Mapping[str, str]


def _file(
    tx: Connection,
    wanted: _Wanted,
    actor: Actor,
    action: str,
    now: datetime,
    *,
    entered: Hand | None = None,
    filed_by_id: int | None = None,
) -> str:
    """File it, write that down, tell the contract's administrator, who may know nothing of it; return the number."""
    contract, kind = wanted.contract, wanted.kind
    form_id = request_forms.file(
        tx,
        kind,
        bank=contract.bank,
        branch=contract.branch,
        contract_id=contract.contract_id,
        user_id=_user_id(tx, contract, kind, wanted.user_id),
        detail=wanted.detail,
        now=now,
        entered=entered,
        filed_by_id=filed_by_id,
    )
    who, number = PersonId(contract.bank, contract.contract_id), number_of(form_id)
    audit.add(tx, action, actor, at=now, who=who, form=number, kind=kind.value)
    for person_id in people.told_of(tx, who):
        notices.add(tx, person_id, "form-received", now, number=number)
    return number


def _user_id(tx: Connection, contract: Contract, kind: FormKind, typed: str) -> str | None:
    """Return the user whom the form concerns, None for the administrator or the contract."""
    if contract.ended_at is not None:
        raise FormWithoutEffect
    wanted = normal_form(typed)
    if not wanted:
        return None
    known = people.find(tx, PersonId(contract.bank, contract.contract_id, wanted)) if is_user_id(wanted) else None
    if kind not in OF_USERS or known is None:
        raise DetailsNotAllowed(fields={"user_id": "user-unknown" if kind in OF_USERS else "form-without-user"})
    return known.who.user_id
