"""The bank stops at once what somebody on the telephone asks for, once they are taken for the customer (J10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.errors import ChoiceMissing, DetailsNotAllowed, FormWithoutEffect, IdentityNotConfirmed
from sekisho.domain.person import PersonId, is_user_id
from sekisho.domain.request_forms import Step, roles_for
from sekisho.domain.secret import normal_form
from sekisho.domain.telephone import Answer, Stop, TelephoneCheck, read_check
from sekisho.store import audit, people
from sekisho.usecases.emergency_stop import stop_at_branch, suspend_at_branch
from sekisho.usecases.enter_console import present_staff
from sekisho.usecases.find_contracts import visible

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.contract import Person
    from sekisho.domain.errors import Refusal
    from sekisho.domain.staff import Staff
    from sekisho.store.contracts import Contract
    from sekisho.usecases.enter_console import AtWork
    from sekisho.usecases.ports import Ports

# Whoever receives forms at the counter answers the telephone, too.
STOPPING = roles_for(Step.CHECK_SEAL)


def stop_by_telephone(ports: Ports, *, at_work: AtWork, contract_id: str, typed: Mapping[str, str]) -> None:
    """Put the call on record, and stop what was asked for where it confirms who called.

    Raises `ChoiceMissing` and `DetailsNotAllowed` by field, and then nothing
    is on record; `IdentityNotConfirmed`, and then the call is, and nothing
    is stopped; `FormWithoutEffect` where it is stopped already or the
    contract has ended, and then the call is on record, too; `ContractUnknown`.
    """
    now = ports.now()
    check, wrong = read_check(typed)
    what = typed.get("what", "")
    if what not in list(Stop):
        raise ChoiceMissing(fields={"what": "choice-missing"} | wrong)
    if check is None:
        raise DetailsNotAllowed(fields=wrong)

    def stop(tx: Connection) -> Refusal | None:
        staff, _ = present_staff(tx, at_work)
        staff.require(*STOPPING)
        contract, person = _hold(tx, staff, contract_id, Stop(what), typed.get("user_id", ""))
        _put_on_record(tx, person, Stop(what), check, at_work, now)
        if not check.confirmed:
            return IdentityNotConfirmed()
        if contract.ended_at is not None:
            return FormWithoutEffect()
        act = suspend_at_branch if what == Stop.CERTIFICATE else stop_at_branch
        try:
            act(tx, person, at_work.actor, now)
        except FormWithoutEffect as stopped_before:
            return stopped_before
        return None

    # That somebody called is told once it is committed. An act that is refused has written nothing.
    if (refusal := ports.db.write(stop)) is not None:
        raise refusal


def _hold(tx: Connection, staff: Staff, contract_id: str, what: Stop, typed: str) -> tuple[Contract, Person]:
    """Hold the person who is to be stopped, and return them and the contract as they stand then."""
    people.lock(tx, [_whose(tx, visible(tx, staff, contract_id), what, typed).id])
    # Read anew by statements of their own: the contract may have ended, or the user gone, while this one waited.
    contract = visible(tx, staff, contract_id)
    return contract, _whose(tx, contract, what, typed)


def _whose(tx: Connection, contract: Contract, what: Stop, typed: str) -> Person:
    """Return the person who is to be stopped: the administrator for the contract, and where no user is named."""
    user_id = normal_form(typed)
    if what is Stop.USER and not user_id:
        raise DetailsNotAllowed(fields={"user_id": "entry-missing"})
    if what is Stop.CONTRACT and user_id:
        raise DetailsNotAllowed(fields={"user_id": "form-without-user"})
    person = None
    if not user_id or is_user_id(user_id):
        person = people.find(tx, PersonId(contract.bank, contract.contract_id, user_id or None))
    if person is None:
        raise DetailsNotAllowed(fields={"user_id": "user-unknown"})
    return person


def _put_on_record(
    tx: Connection, person: Person, what: Stop, check: TelephoneCheck, at_work: AtWork, now: datetime
) -> None:
    audit.add(
        tx,
        "telephone-checked",
        at_work.actor,
        at=now,
        who=person.who,
        person_id=person.id,
        what=what.value,
        call_back=check.call_back,
        right=", ".join(check.asked(Answer.RIGHT)),
        wrong=", ".join(check.asked(Answer.WRONG)),
        confirmed="yes" if check.confirmed else "no",
    )
