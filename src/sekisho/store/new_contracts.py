"""Contracts and their people as they are registered: many at once, a statement for each table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import IntegrityError

from sekisho.domain.company_name import search_key
from sekisho.domain.errors import ContractIdTaken
from sekisho.store import bulk
from sekisho.store.tables import contract_names, contracts, people

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.person import PersonId


@dataclass(frozen=True, slots=True)
class Company:
    """A company as it is written; `opened_at` is None until its administrator has confirmed the opening.

    `branch` is three digits, None for the operations centre. The company is
    found by its name and by `kana`, how that is read.
    """

    contract_id: str
    name: str
    kana: str | None
    branch: str | None
    opened_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewRow:
    """A person as they are written."""

    who: PersonId
    name: str
    mail_address: str | None
    language: str


def add(tx: Connection, bank: str, companies: Sequence[Company], now: datetime) -> None:
    """Register companies.

    Raises `ContractIdTaken` where the bank has a contract of one of the IDs,
    also one that is registered at the same moment (the primary key decides),
    or once had.
    """
    rows = [
        {
            "bank": bank,
            "contract_id": one.contract_id,
            "name": one.name,
            "registered_at": now,
            "opened_at": one.opened_at,
            "branch": one.branch,
        }
        for one in companies
    ]
    try:
        bulk.add(tx, contracts, rows)
    except IntegrityError as clash:
        # PostgreSQL names the key, SQLite its columns.
        told = str(clash.orig)
        if any(one in told for one in ("pk_contracts", "contracts.contract_id", "contract_id_was_given")):
            raise ContractIdTaken from clash
        raise
    bulk.add(tx, contract_names, [row for one in companies for row in _names(bank, one)])


def _names(bank: str, company: Company) -> Iterator[dict[str, Any]]:
    keys = dict.fromkeys(search_key(name or "") for name in (company.name, company.kana))
    for key in filter(None, keys):
        yield {"bank": bank, "key": key, "contract_id": company.contract_id, "branch": company.branch}


def add_people(tx: Connection, new: Sequence[NewRow], now: datetime) -> list[int]:
    """Register people and return their rows' ids, in their order.

    They are all of different contracts, or all of one.
    """
    rows: list[dict[str, Any]] = [
        {
            "bank": one.who.bank,
            "contract_id": one.who.contract_id,
            "user_id": one.who.user_id,
            "user_key": one.who.user_key,
            "name": one.name,
            "mail_address": one.mail_address,
            "language": one.language,
            "registered_at": now,
            "applications": [],
        }
        for one in new
    ]
    of_one = len({one.who.contract_id for one in new}) < len(new)
    return bulk.add_with_ids(tx, people, rows, by="user_key" if of_one else "contract_id")
