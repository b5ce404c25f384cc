"""The audit rows: who did what, when, from where, about which certificate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, select

from sekisho.store import bulk
from sekisho.store.columns import serial_text
from sekisho.store.tables import audit as t
from sekisho.store.tables import contracts, people

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.person import PersonId
    from sekisho.domain.staff import Staff

SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and the address that they act from (None for the system itself and the command line)."""

    name: str
    address: str | None = None


def actor_of(who: PersonId, address: str) -> Actor:
    """Return the person as an actor."""
    return Actor(f"{who.kind.value}:{who.contract_id}" + (f"/{who.user_id}" if who.user_id else ""), address)


def staff_actor(staff: Staff, address: str) -> Actor:
    """Return one of the bank's own people as an actor."""
    return Actor(f"staff:{staff.staff_id}", address)


def add(
    tx: Connection,
    action: str,
    actor: Actor,
    *,
    at: datetime,
    who: PersonId | None = None,
    person_id: int | None = None,
    serial: int | None = None,
    **detail: str | int | None,
) -> None:
    """Write what was done, in the transaction that does it. `detail` carries no secret."""
    add_all(tx, [row(action, actor, at=at, who=who, person_id=person_id, serial=serial, **detail)])


def add_of_bank(
    tx: Connection,
    action: str,
    actor: Actor,
    *,
    at: datetime,
    bank: str,
    serial: int | None = None,
    **detail: str | int | None,
) -> None:
    """Write what was done that concerns no contract of the bank."""
    add_all(tx, [{**row(action, actor, at=at, serial=serial), "bank": bank, "detail": detail}])


def add_all(tx: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Write what was done for many, each a `row`, in the transaction that does it."""
    bulk.add(tx, t, rows)


def row(
    action: str,
    actor: Actor,
    *,
    at: datetime,
    who: PersonId | None = None,
    person_id: int | None = None,
    serial: int | None = None,
    **detail: str | int | None,
) -> dict[str, Any]:
    """Return what `add` writes, for `add_all`."""
    return {
        "at": at,
        "action": action,
        "bank": None if who is None else who.bank,
        "contract_id": None if who is None else who.contract_id,
        "actor": actor.name,
        "address": actor.address,
        "person_id": person_id,
        "serial": serial,
        "detail": detail,
    }


def listed(tx: Connection, *, after: int = 0, most: int = 1000, contract_id: str | None = None) -> list[dict[str, Any]]:
    """Return rows in the order in which they were written, from after a row's id on."""
    query = select(t).where(t.c.id > after).order_by(t.c.id).limit(most)
    if contract_id is not None:
        query = query.where(t.c.contract_id == contract_id)
    return [dict(found._mapping) for found in tx.execute(query)]  # noqa: SLF001 - SQLAlchemy's public name for it


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as it is printed, and as what was removed is summed up."""
    at, serial = row["at"].isoformat(), row["serial"]
    return {**row, "at": at, "serial": None if serial is None else serial_text(serial)}


def read_on(tx: Connection, *, after: int, most: int) -> list[dict[str, Any]]:
    """Return rows as `listed` does, each with the `user_id` of its person and the `branch` of its contract.

    `user_id` is None for an administrator or nobody.
    """
    query = (
        select(t, people.c.user_id, contracts.c.branch)
        .outerjoin(people, people.c.id == t.c.person_id)
        .outerjoin(contracts, and_(contracts.c.bank == t.c.bank, contracts.c.contract_id == t.c.contract_id))
        .where(t.c.id > after)
    )
    rows = tx.execute(query.order_by(t.c.id).limit(most))
    return [dict(found._mapping) for found in rows]  # noqa: SLF001 - SQLAlchemy's public name for it


def of_contract(
    tx: Connection, bank: str, contract_id: str, *, before: int | None = None, most: int
) -> list[dict[str, Any]]:
    """Return what was done about a contract, the newest first, from before a row's id on."""
    query = select(t).where(t.c.bank == bank, t.c.contract_id == contract_id).order_by(t.c.id.desc()).limit(most)
    if before is not None:
        query = query.where(t.c.id < before)
    return [dict(found._mapping) for found in tx.execute(query)]  # noqa: SLF001 - SQLAlchemy's public name for it


def of_forms(tx: Connection, bank: str, contract_id: str, *, first: int, but: str, most: int) -> list[dict[str, Any]]:
    """Return what was done to a contract's request forms, the oldest first, from a row's id on, without one action."""
    here = (t.c.bank == bank, t.c.contract_id == contract_id, t.c.id >= first)
    query = select(t).where(*here, t.c.action.like("form-%"), t.c.action != but).order_by(t.c.id).limit(most)
    return [dict(found._mapping) for found in tx.execute(query)]  # noqa: SLF001 - SQLAlchemy's public name for it
