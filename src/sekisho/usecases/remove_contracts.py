"""What the retention rule no longer keeps is removed for good: from the CA's journal first, then from the database."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sekisho.ca.record import StillKept
from sekisho.store import audit, removal

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank
    from sekisho.store.audit import Actor
    from sekisho.store.removal import Removed
    from sekisho.usecases.ports import Ports

_AT_ONCE = 200


class RemovalNotAllowed(Exception):  # noqa: N818 - names what is the case
    """Contracts wait for their removal, and this process has no right to it."""


def due_contracts(ports: Ports, bank: Bank) -> list[str]:
    """Return contracts whose retention is over, some of them where there are many."""
    ended_before = ports.now() - kept_for(bank.policy.retention_years)
    with ports.db.read() as tx:
        return removal.due(tx, bank.code, ended_before, _AT_ONCE)


def remove_contracts(ports: Ports, *, bank: Bank, actor: Actor) -> list[Removed]:
    """Remove contracts whose retention is over, some of them where there are many, and return what was removed.

    Each is erased from the CA's journal before its rows go, so that a crash
    in between leaves what names the rest of the work. One that the CA still
    keeps stays. Raises `RemovalNotAllowed`, and `CaAway`.
    """
    now = ports.now()
    waiting = due_contracts(ports, bank)
    if not waiting:
        return []
    with ports.db.read() as tx:
        if not removal.may_remove(tx):
            raise RemovalNotAllowed(
                "contracts are past their retention: run sekisho contract purge as the role that owns the tables"
            )
    done = []
    for contract_id in waiting:
        try:
            erased = ports.records[bank.code].erase(bank.code, contract_id)
        except StillKept:
            continue

        def remove(tx: Connection, contract_id: str = contract_id, *, erased: bool = erased) -> Removed | None:
            removed = removal.remove(tx, bank.code, contract_id, now)
            if removed is not None:
                audit.add_of_bank(
                    tx,
                    "contract-removed",
                    actor,
                    at=now,
                    bank=bank.code,
                    contract=contract_id,
                    rows=sum(removed.rows.values()),
                    audit_rows=removed.rows["audit"],
                    audit_sha256=removed.audit_sha256.hex(),
                    keys="destroyed" if erased else "none",
                )
            return removed

        removed = ports.db.write(remove)
        if removed is not None:
            done.append(removed)
    return done


def kept_for(years: int) -> timedelta:
    """Return how long so many years are at most, with as many leap days as they can have."""
    return timedelta(days=365 * years + (years + 3) // 4)
