"""Register many contracts that wait for their opening, from the lines of a file; a second run does what is left."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from sekisho.domain.entries import name_problem, one_line
from sekisho.domain.errors import ContractIdTaken
from sekisho.domain.person import is_contract_id
from sekisho.domain.secret import normal_form
from sekisho.domain.staff import is_branch
from sekisho.store import contracts
from sekisho.usecases.put_contracts import NewContract, PreparedContract, put_contracts
from sekisho.usecases.register_contract import prepare_contract
from sekisho.usecases.register_unopened import RegisteredContract, administrator_of, draw_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank
    from sekisho.store.audit import Actor
    from sekisho.store.contracts import Contract
    from sekisho.usecases.ports import Ports

COLUMNS = ("contract_id", "name", "kana", "branch", "administrator", "language")
NEEDED = frozenset({"contract_id", "name", "administrator"})
LINE_FORM = "line-form"
LINE_TOO_LONG = "line-too-long"
TAKEN = "contract-id-taken"
_LANGUAGES = frozenset({"ja", "en"})
_AT_ONCE = 25


class Done(StrEnum):
    """What became of a line. `CAN_BE` is a dry run's word for what would be registered."""

    REGISTERED = "registered"
    CAN_BE = "can-be-registered"
    THERE = "there-already"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the file that is whole; `number` counts from 1, the line with the names of the columns."""

    number: int
    contract_id: str
    name: str
    kana: str | None
    branch: str | None
    administrator: str
    language: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one line; where it is wrong, the column (None: the line itself) and a code of the catalogue."""

    number: int
    contract_id: str
    done: Done
    column: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Import:
    """How contracts are imported. `keep` has to have stored the secrets for good when it returns.

    It is called before the contracts are committed: after a crash there may
    be secrets of contracts that were not registered, but no contract without
    its secrets. The last that was kept for a contract ID counts.

    `within` writes what has to be there with the contracts of these IDs or
    not at all: it is called in their transaction, right after them, which may
    run more than once. Where two register the same contract, only what was
    written beside the one that was first stays.
    """

    ports: Ports
    bank: Bank
    actor: Actor
    keep: Callable[[Sequence[RegisteredContract]], None]
    dry_run: bool = False
    within: Callable[[Connection, Sequence[str]], None] | None = None


def read_line(number: int, fields: Mapping[str, str | None]) -> Line | Outcome:
    """Return a line as it can be registered, or what is wrong with it."""
    typed = {column: one_line(fields.get(column) or "") for column in COLUMNS}
    contract_id = normal_form(typed["contract_id"]).replace("-", "")
    branch = normal_form(typed["branch"])
    language = normal_form(typed["language"]) or "ja"
    checks: dict[str, str | None] = {
        "contract_id": None if is_contract_id(contract_id) else "contract-id-form",
        "name": name_problem(typed["name"]),
        "kana": name_problem(typed["kana"]) if typed["kana"] else None,
        "branch": None if not branch or is_branch(branch) else "branch-form",
        "administrator": name_problem(typed["administrator"]),
        "language": None if language in _LANGUAGES else "language-form",
    }
    wrong = next(((column, code) for column, code in checks.items() if code), None)
    if wrong is not None:
        # An ID that is none is not repeated: whatever stands in the column may be a secret out of place.
        shown = "" if checks["contract_id"] else contract_id
        return Outcome(number, shown, Done.WRONG, *wrong)
    return Line(
        number, contract_id, typed["name"], typed["kana"] or None, branch or None, typed["administrator"], language
    )


def import_contracts(how: Import, lines: Iterable[Line | Outcome]) -> Iterator[Outcome]:
    """Register each line's contract, 25 in a transaction, and yield what became of each, in the order of the lines.

    Whatever is there already with the same name and branch is left as it is,
    so that a run that was cut short is simply run again. One line that is
    wrong keeps no other from being registered.
    """
    seen: set[str] = set()
    rest = iter(lines)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as hashing:
        while batch := list(islice(rest, _AT_ONCE)):
            yield from _import_some(how, hashing, batch, seen)


def _import_some(
    how: Import, hashing: ThreadPoolExecutor, batch: Sequence[Line | Outcome], seen: set[str]
) -> list[Outcome]:
    outcomes: dict[int, Outcome] = {}
    new: list[Line] = []
    with how.ports.db.read() as tx:
        present = contracts.of_ids(tx, how.bank.code, [one.contract_id for one in batch if isinstance(one, Line)])
    for line in batch:
        outcome = line if isinstance(line, Outcome) else _known(present.get(line.contract_id), line, seen)
        if outcome is not None:
            outcomes[line.number] = outcome
        elif isinstance(line, Line):
            new.append(line)
    if how.dry_run:
        outcomes |= {line.number: Outcome(line.number, line.contract_id, Done.CAN_BE) for line in new}
    elif new:
        outcomes |= _register(how, hashing, new)
    return [outcomes[line.number] for line in batch]


def _known(present: Contract | None, line: Line, seen: set[str]) -> Outcome | None:
    """Return what is to be said of a line without registering it, or None where it is new."""
    wrong = partial(Outcome, line.number, line.contract_id, Done.WRONG, "contract_id")
    if line.contract_id in seen:
        return wrong("contract-id-repeated")
    seen.add(line.contract_id)
    if present is None:
        return None
    if (present.name, present.branch, present.ended_at) == (line.name, line.branch, None):
        return Outcome(line.number, line.contract_id, Done.THERE)
    return wrong(TAKEN)


def _register(how: Import, hashing: ThreadPoolExecutor, lines: Sequence[Line]) -> dict[int, Outcome]:
    ports, now = how.ports, how.ports.now()
    drawn = [draw_secrets(ports, line.contract_id) for line in lines]
    new = map(_new_contract, lines, drawn)
    prepared = list(hashing.map(partial(prepare_contract, ports, drawn=True), new))
    how.keep(drawn)

    def put(tx: Connection, some: Sequence[PreparedContract]) -> list[Exception | None]:
        put_contracts(tx, ports, how.bank, some, how.actor, now)
        if how.within is not None:
            how.within(tx, [one.contract.contract_id for one in some])
        return [None] * len(some)

    try:
        written = ports.db.write_all(put, prepared)
    except ContractIdTaken as taken:  # one alone is not tried again
        written = [taken]
    with ports.db.read() as tx:
        return {
            line.number: Outcome(line.number, line.contract_id, Done.REGISTERED)
            if failure is None
            else _overtaken(tx, how.bank, line, failure)
            for line, failure in zip(lines, written, strict=True)
        }


def _overtaken(tx: Connection, bank: Bank, line: Line, failure: Exception) -> Outcome:
    """Return that somebody else registered the contract in this moment; any other failure is raised."""
    if contracts.find(tx, bank.code, line.contract_id) is None:
        raise failure
    return Outcome(line.number, line.contract_id, Done.WRONG, "contract_id", TAKEN)


def _new_contract(line: Line, drawn: RegisteredContract) -> NewContract:
    administrator = administrator_of(drawn, line.administrator, line.language)
    return NewContract(
        line.contract_id, line.name, (administrator,), drawn.registration_pin, branch=line.branch, kana=line.kana
    )
