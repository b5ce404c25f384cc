"""What a contract holds, part by part, and one certificate; who looked is on record."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from sekisho.domain.customer_card import CardState
from sekisho.domain.person import PersonId
from sekisho.store import audit, cards, permits
from sekisho.usecases.find_contracts import visible, visible_certificate

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from sekisho.domain.certificate import Certificate
    from sekisho.domain.customer_card import CustomerCard
    from sekisho.domain.permit import Permit
    from sekisho.usecases.enter_console import AtWork
    from sekisho.usecases.ports import Ports

    Part = TypeVar("Part")

_PERMITS = 200


def read_permits(ports: Ports, *, at_work: AtWork, contract_id: str) -> list[Permit]:
    """Return the permits of a contract's people, the newest first. Raises `ContractUnknown`."""
    return _read(
        ports, at_work, contract_id, lambda tx, who: permits.of_contract(tx, who.bank, who.contract_id, _PERMITS)
    )


def read_cards(ports: Ports, *, at_work: AtWork, contract_id: str) -> list[CustomerCard]:
    """Return a contract's cards, the newest first. Raises `ContractUnknown`."""
    return _read(ports, at_work, contract_id, lambda tx, who: cards.of_contract(tx, who, *CardState))


def read_certificate(ports: Ports, *, at_work: AtWork, serial: int) -> Certificate:
    """Return one certificate. Raises `SerialUnknown`."""
    now = ports.now()

    def read(tx: Connection) -> Certificate:
        found = visible_certificate(tx, at_work.staff, serial)
        audit.add(tx, "certificate-read", at_work.actor, at=now, who=found.person, serial=serial)
        return found

    return ports.db.write(read)


def _read(
    ports: Ports, at_work: AtWork, contract_id: str, part: Callable[[Connection, PersonId], list[Part]]
) -> list[Part]:
    now = ports.now()

    def read(tx: Connection) -> list[Part]:
        contract = visible(tx, at_work.staff, contract_id)
        who = PersonId(contract.bank, contract.contract_id)
        audit.add(tx, "contract-read", at_work.actor, at=now, who=who)
        return part(tx, who)

    return ports.db.write(read)
