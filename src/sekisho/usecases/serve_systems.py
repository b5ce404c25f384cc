"""What the bank's own systems ask for: contracts in numbers, and what happened."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sekisho.domain.errors import IdempotencyKeyMissing, IdempotencyKeyReused
from sekisho.store import audit, system_answers
from sekisho.store.system_answers import OF_REQUEST, Asked
from sekisho.usecases.enter_console import present_staff
from sekisho.usecases.import_contracts import TAKEN, Done, Import, Line, Outcome, import_contracts, read_line
from sekisho.usecases.register_unopened import RegisteredContract

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank
    from sekisho.domain.staff import Staff
    from sekisho.usecases.enter_console import AtWork
    from sekisho.usecases.ports import Ports

_KEY = re.compile(r"[A-Za-z0-9._-]{8,100}")
# A row gets its number before its transaction ends, which may wait for a connection and a batch. Whoever reads on
# from a number would never see one that comes later with a smaller number: so the newest rows are not told yet.
SETTLED_AFTER = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class RegisteredLine:
    """What became of one contract, and what goes out to its company, where this request registered it."""

    outcome: Outcome
    secrets: RegisteredContract | None


@dataclass(frozen=True, slots=True)
class Events:
    """Audit rows of the bank in their order, and the number from after which to read on."""

    rows: Sequence[Mapping[str, Any]]
    after: int


def read_asked(at_work: AtWork, key: str | None, request: bytes) -> Asked:
    """Return a request by the name that its system gave it. Raises `IdempotencyKeyMissing`."""
    if key is None or not (key.isascii() and _KEY.fullmatch(key)):
        raise IdempotencyKeyMissing
    return Asked(at_work.staff.id, hashlib.sha256(key.encode()).digest(), hashlib.sha256(request).digest())


def answered_before(tx: Connection, asked: Asked) -> str | None:
    """Return what the request was answered, None where it is new. Raises `IdempotencyKeyReused`.

    Whoever asks holds the system's row, so that of two at once the second finds what the first was answered.
    """
    before = system_answers.of(tx, asked).get(OF_REQUEST)
    if before is None:
        return None
    if before.request_sha256 != asked.request_sha256:
        raise IdempotencyKeyReused
    return before.answer


def register_contracts(
    ports: Ports,
    *,
    bank: Bank,
    at_work: AtWork,
    asked: Asked,
    contracts: Sequence[Mapping[str, str | None]],
    dry_run: bool,
) -> list[RegisteredLine]:
    """Register contracts that wait for their opening, and return what became of each, in their order.

    A system of a branch registers that branch's alone.

    The same request again does what is left, and gets the secrets of what it
    had registered, for a day. They are kept sealed in the transaction that
    registers the contract: neither is ever there without the other, whoever
    was asked the same at the same moment.
    """
    now = ports.now()
    sealed: dict[str, str] = {}

    def begin(tx: Connection) -> Mapping[str, str]:
        present_staff(tx, at_work)
        if answered_before(tx, asked) is None:
            system_answers.keep(tx, asked, {OF_REQUEST: ""}, now)
        return _answers(tx, asked)

    def keep(drawn: Sequence[RegisteredContract]) -> None:
        sealed.update((one.contract_id, _sealed(ports, one)) for one in drawn)

    def within(tx: Connection, contract_ids: Sequence[str]) -> None:
        system_answers.keep(tx, asked, {one: sealed[one] for one in contract_ids}, now)

    before = {} if dry_run else ports.db.write(begin)
    how = Import(ports, bank, at_work.actor, keep, dry_run, within)
    lines = [_of_branch(read_line(at, one), at_work.staff.branch) for at, one in enumerate(contracts, 1)]
    outcomes = list(import_contracts(how, lines))
    if dry_run:
        return [RegisteredLine(one, None) for one in outcomes]
    with ports.db.read() as tx:
        kept = _answers(tx, asked)
    meanwhile = kept.keys() - before.keys()
    return [_with_secrets(ports, _by_this_request(one, meanwhile), kept.get(one.contract_id)) for one in outcomes]


def read_events(ports: Ports, *, at_work: AtWork, after: int, most: int) -> Events:
    """Return what was done at the bank, from after a number on, once no earlier number can come any more.

    A system of a branch is told of that branch's contracts.
    """
    settled = ports.now() - SETTLED_AFTER
    with ports.db.read() as tx:
        found = audit.read_on(tx, after=after, most=most)
    rows = []
    for row in found:
        if _at(row) > settled:
            break
        rows.append(row)
    last = rows[-1]["id"] if rows else after
    return Events([row for row in rows if _is_theirs(at_work.staff, row)], last)


def _is_theirs(staff: Staff, row: Mapping[str, Any]) -> bool:
    """Tell whether a row is of the bank and, for somebody of a branch, about a contract of theirs."""
    if row["contract_id"] is None:
        return row["bank"] == staff.bank and staff.branch is None
    return staff.sees(row["bank"], row["branch"])


def _of_branch(line: Line | Outcome, branch: str | None) -> Line | Outcome:
    """Return a contract as somebody of a branch may register it: theirs where no branch was named."""
    if branch is None or isinstance(line, Outcome):
        return line
    if line.branch not in {None, branch}:
        return Outcome(line.number, line.contract_id, Done.WRONG, "branch", "branch-other")
    return replace(line, branch=branch)


def _answers(tx: Connection, asked: Asked) -> Mapping[str, str]:
    return {ref: one.answer for ref, one in system_answers.of(tx, asked).items()}


def _by_this_request(outcome: Outcome, meanwhile: Collection[str]) -> Outcome:
    """Return an outcome, where the same request registered the contract meanwhile on another node as that it is there.

    `meanwhile` are the contracts for which this request was given secrets since it began.
    """
    if outcome.code == TAKEN and outcome.contract_id in meanwhile:
        return Outcome(outcome.number, outcome.contract_id, Done.THERE)
    return outcome


def _at(row: Mapping[str, Any]) -> datetime:
    at: datetime = row["at"]
    return at


def _with_secrets(ports: Ports, outcome: Outcome, kept: str | None) -> RegisteredLine:
    theirs = outcome.done in {Done.REGISTERED, Done.THERE} and kept
    return RegisteredLine(outcome, _opened(ports, outcome.contract_id, kept) if theirs and kept else None)


def _sealed(ports: Ports, one: RegisteredContract) -> str:
    pins = {
        "contract_pin": one.contract_pin,
        "contract_confirmation_pin": one.contract_confirmation_pin,
        "registration_pin": one.registration_pin,
    }
    return ports.seal.seal({**pins, "card": json.dumps(dict(one.card))}, _owner(one.contract_id))


def _opened(ports: Ports, contract_id: str, sealed: str) -> RegisteredContract:
    opened = ports.seal.open(sealed, _owner(contract_id))
    card = json.loads(opened.pop("card"))
    return RegisteredContract(contract_id=contract_id, card=card, **opened)


def _owner(contract_id: str) -> str:
    return f"answer to a system about {contract_id}"
