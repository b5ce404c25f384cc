"""Remove a contract with whatever belongs to it, once nothing keeps it any more."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, delete, exists, func, insert, select

from sekisho.store import audit as audit_rows
from sekisho.store import tables as t

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection, Select, Table


@dataclass(frozen=True, slots=True)
class Removed:
    """A contract that was removed: how many rows of each table, and SHA-256 of its audit rows (`digest`)."""

    contract_id: str
    ended_at: datetime
    removed_at: datetime
    rows: Mapping[str, int]
    audit_sha256: bytes


def due(tx: Connection, bank: str, ended_before: datetime, most: int) -> list[str]:
    """Return the IDs of contracts that ended by a moment, each of their certificates too, the earliest first."""
    contracts, people, certificates = t.contracts.c, t.people.c, t.certificates.c
    longer = (
        select(certificates.id)
        .join(t.people, people.id == certificates.person_id)
        .where(
            people.bank == contracts.bank,
            people.contract_id == contracts.contract_id,
            certificates.not_after > ended_before,
        )
    )
    found = (
        select(contracts.contract_id)
        .where(contracts.bank == bank, contracts.ended_at.is_not(None), contracts.ended_at <= ended_before)
        .where(~exists(longer.correlate(t.contracts)))
        .order_by(contracts.ended_at)
        .limit(most)
    )
    return list(tx.scalars(found))


def may_remove(tx: Connection) -> bool:
    """Tell whether this connection has the right to; in PostgreSQL only the role that owns the tables has."""
    if tx.dialect.name == "sqlite":
        return True
    return bool(tx.exec_driver_sql("SELECT has_table_privilege('audit', 'DELETE')").scalar_one())


def remove(tx: Connection, bank: str, contract_id: str, now: datetime) -> Removed | None:
    """Remove it, or return None where it is gone already. A trigger refuses what ended less than seven years ago."""
    if tx.dialect.name == "sqlite":
        # What is deleted is overwritten with zeros instead of being left in pages to be used again.
        tx.exec_driver_sql("PRAGMA secure_delete = ON")
    contracts = t.contracts.c
    here = and_(contracts.bank == bank, contracts.contract_id == contract_id)
    ended_at = tx.scalar(select(contracts.ended_at).where(here).with_for_update())
    if ended_at is None:
        return None
    whose = _belonging(tx, bank, contract_id)
    # The tombstone stands first: the triggers let go of nothing else. Its counts are taken before, and hold, as nobody
    # writes to a contract that ended.
    counts = {
        table.name: tx.scalar(select(func.count()).select_from(table).where(condition)) or 0
        for table, condition in whose
        if table is not t.contracts
    }
    removed = Removed(contract_id, ended_at, now, counts, digest(tx, bank, contract_id))
    tx.execute(
        insert(t.removed_contracts).values(
            bank=bank,
            contract_id=contract_id,
            ended_at=ended_at,
            removed_at=now,
            rows=dict(counts),
            audit_sha256=removed.audit_sha256,
        )
    )
    for table, condition in whose:
        tx.execute(delete(table).where(condition))
    return removed


def digest(tx: Connection, bank: str, contract_id: str) -> bytes:
    """Return SHA-256 of a contract's audit rows, of just what `sekisho audit list --json --contract` prints."""
    audit = t.audit.c
    summed = hashlib.sha256()
    rows = select(t.audit).where(audit.bank == bank, audit.contract_id == contract_id).order_by(audit.id)
    for row in tx.execute(rows):
        said = audit_rows.shown(dict(row._mapping))  # noqa: SLF001 - SQLAlchemy's public name for it
        summed.update(json.dumps(said, ensure_ascii=False).encode() + b"\n")
    return summed.digest()


def removed(tx: Connection, bank: str) -> list[Removed]:
    """Return what was removed of a bank, in the order of contract IDs."""
    gone = t.removed_contracts
    rows = tx.execute(select(gone).where(gone.c.bank == bank).order_by(gone.c.contract_id))
    return [Removed(row.contract_id, row.ended_at, row.removed_at, row.rows, row.audit_sha256) for row in rows]


def _belonging(tx: Connection, bank: str, contract_id: str) -> list[tuple[Table, Any]]:
    """Return which rows of which tables belong to a contract, what refers to a row before that row.

    Rows are named by their own or their person's number, read before: a
    statement that asked for them by a join might read a whole table.
    """

    def of_contract(table: Table) -> tuple[Table, Any]:
        return table, and_(table.c.bank == bank, table.c.contract_id == contract_id)

    def numbers(query: Select[Any]) -> list[int]:
        return list(tx.scalars(query))

    people = numbers(select(t.people.c.id).where(of_contract(t.people)[1]))
    certificates = numbers(select(t.certificates.c.id).where(t.certificates.c.person_id.in_(people)))
    orders = numbers(select(t.orders.c.id).where(t.orders.c.person_id.in_(people)))
    forms = t.request_forms.c
    its_forms = numbers(select(forms.id).where(of_contract(t.request_forms)[1]))
    its_forms += numbers(select(forms.id).where(forms.filed_by_id.in_(people), forms.contract_id.is_(None)))

    def of_people(table: Table) -> tuple[Table, Any]:
        return table, table.c.person_id.in_(people)

    def of_certificates(table: Table) -> tuple[Table, Any]:
        return table, table.c.certificate_id.in_(certificates)

    return [
        (t.form_scans, t.form_scans.c.form_id.in_(its_forms)),
        (t.form_approvals, t.form_approvals.c.form_id.in_(its_forms)),
        (t.request_forms, forms.id.in_(its_forms)),
        of_people(t.notices),
        of_people(t.mailed_codes),
        of_people(t.past_pins),
        of_people(t.secrets),
        of_people(t.passkeys),
        of_people(t.sessions),
        of_certificates(t.crl_entries),
        of_certificates(t.certificate_bytes),
        of_people(t.certificates),
        (t.unfinished_orders, t.unfinished_orders.c.order_id.in_(orders)),
        of_people(t.orders),
        of_people(t.permits),
        of_contract(t.cards),
        of_contract(t.contract_names),
        of_contract(t.people),
        of_contract(t.audit),
        of_contract(t.contracts),
    ]
