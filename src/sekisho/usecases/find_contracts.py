"""What the bank's own people see of contracts: a search, and all of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sekisho.domain.company_name import search_key
from sekisho.domain.errors import ContractUnknown, SerialUnknown
from sekisho.domain.person import PersonId, is_contract_id
from sekisho.domain.secret import normal_form
from sekisho.domain.staff import is_branch
from sekisho.store import (
    audit,
    cards,
    certificates,
    contracts,
    notices,
    people,
    permits,
    request_forms,
    sessions,
)
from sekisho.store.contracts import Contract, Found, Search

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.certificate import Certificate
    from sekisho.domain.contract import Person
    from sekisho.domain.customer_card import CustomerCard
    from sekisho.domain.permit import Permit
    from sekisho.domain.request_forms import RequestForm
    from sekisho.domain.staff import Staff
    from sekisho.store.notices import Notice
    from sekisho.usecases.enter_console import AtWork
    from sekisho.usecases.ports import Ports

ON_A_PAGE = 25
_LONGEST = 100
_NOTICES = 20
_AUDIT_ROWS = 50
_CERTIFICATES = 200
_FORMS = 20


@dataclass(frozen=True, slots=True)
class FoundContracts:
    """One page of what was found; `after` is where the next one begins, None where this is the last."""

    contracts: Sequence[Contract]
    after: str | None


@dataclass(frozen=True, slots=True)
class PersonLine:
    """One of a contract's people, with the newest certificate, the newest permit and the last logon."""

    person: Person
    certificate: Certificate | None
    permit: Permit | None
    last_logon: datetime | None


@dataclass(frozen=True, slots=True)
class WholeContract:
    """All that the console shows of a contract. The administrator stands first, certificates the newest first."""

    contract: Contract
    people: Sequence[PersonLine]
    certificates: Sequence[Certificate]
    notices: Sequence[Notice]
    audit: Sequence[dict[str, Any]]
    audit_goes_on: bool
    forms: Sequence[RequestForm]
    card: CustomerCard | None = None


def find_contracts(
    ports: Ports, *, staff: Staff, looked_for: str, branch: str = "", after: str | None = None
) -> FoundContracts:
    """Return contracts by the beginning of their ID, or by the beginning of the company's name in kanji or kana.

    Full width and half width, hiragana and katakana are the same. Somebody
    of a branch finds that branch's alone, whatever `branch` says.
    """
    typed = normal_form(_printable(looked_for))[:_LONGEST]
    where = staff.branch or (normal_form(branch) if is_branch(normal_form(branch)) else None)
    if staff.branch is None and branch.strip() and where is None:
        return FoundContracts((), None)
    search = Search(staff.bank, where, _printable(after or "") or None, ON_A_PAGE + 1)
    digits = typed.replace("-", "").replace(" ", "")
    with ports.db.read() as tx:
        if not digits or (digits.isascii() and digits.isdigit()):
            found = contracts.by_id(tx, search, digits[:11]) if len(digits) <= 11 else []  # noqa: PLR2004 - a contract ID
        else:
            key = search_key(typed)
            found = contracts.by_name(tx, search, key) if key else []
    return _page(found)


def _printable(text: str) -> str:
    """Return what of a text a name can have; PostgreSQL takes no NUL, and neither engine half a character."""
    return "".join(letter for letter in text if letter.isprintable())


def _page(found: list[Found]) -> FoundContracts:
    shown = found[:ON_A_PAGE]
    return FoundContracts([one.contract for one in shown], shown[-1].place if len(found) > ON_A_PAGE else None)


def read_contract(ports: Ports, *, at_work: AtWork, contract_id: str, before: int | None = None) -> WholeContract:
    """Return all of a contract, with an audit row that says who looked. Raises `ContractUnknown`.

    The audit rows are the newest, or the newest before a row.
    """
    now = ports.now()

    def read(tx: Connection) -> WholeContract:
        contract = visible(tx, at_work.staff, contract_id)
        who = PersonId(contract.bank, contract.contract_id)
        found = _whole(tx, contract, who, before)
        audit.add(tx, "contract-read", at_work.actor, at=now, who=who)
        return found

    return ports.db.write(read)


def visible_contract(ports: Ports, *, at_work: AtWork, contract_id: str) -> Contract:
    """Return a contract that is theirs to see, by its ID alone. Raises `ContractUnknown`."""
    with ports.db.read() as tx:
        return visible(tx, at_work.staff, contract_id)


def visible(tx: Connection, staff: Staff, contract_id: str) -> Contract:
    """Return a contract that is theirs to see. Raises `ContractUnknown`, whatever the reason."""
    typed = normal_form(contract_id)
    contract = contracts.find(tx, staff.bank, typed) if is_contract_id(typed) else None
    if contract is None or not staff.sees(contract.bank, contract.branch):
        raise ContractUnknown
    return contract


def visible_certificate(tx: Connection, staff: Staff, serial: int) -> Certificate:
    """Return a certificate of a contract that is theirs to see. Raises `SerialUnknown`, whatever the reason."""
    found = certificates.of_serial(tx, serial)
    try:
        if found is not None and found.person.bank == staff.bank:
            visible(tx, staff, found.person.contract_id)
            return found
    except ContractUnknown:
        pass
    raise SerialUnknown


def _whole(tx: Connection, contract: Contract, who: PersonId, before: int | None) -> WholeContract:
    administrator = people.find(tx, who)
    if administrator is None:
        raise RuntimeError("a contract without its administrator")
    everyone = [administrator, *people.users_of(tx, contract.bank, contract.contract_id)]
    ids = [person.id for person in everyone]
    newest = certificates.latest_of(tx, ids)
    granted = permits.latest_of(tx, ids)
    last = sessions.last_logon_of(tx, ids)
    all_ids = people.ids_of_contract(tx, contract.bank, contract.contract_id)
    issued = certificates.newest_of(tx, all_ids, _CERTIFICATES)
    rows = audit.of_contract(tx, contract.bank, contract.contract_id, before=before, most=_AUDIT_ROWS + 1)
    told = sorted((one for row in ids for one in notices.of(tx, row, _NOTICES)), key=lambda one: one.id, reverse=True)
    return WholeContract(
        contract=contract,
        people=[
            PersonLine(person, newest.get(person.id), granted.get(person.id), last.get(person.id))
            for person in everyone
        ],
        certificates=issued,
        card=cards.latest(tx, who),
        notices=told[:_NOTICES],
        audit=rows[:_AUDIT_ROWS],
        audit_goes_on=len(rows) > _AUDIT_ROWS,
        forms=request_forms.of_contract(tx, contract.bank, contract.contract_id, most=_FORMS),
    )
