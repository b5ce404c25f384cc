"""Register a contract that waits for its opening, with everything that goes out to it on paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sekisho.domain import card
from sekisho.domain.entries import name_problem, one_line
from sekisho.domain.errors import ContractIdTaken, DetailsNotAllowed
from sekisho.domain.secret import new_provisional_pin, pin_problems
from sekisho.usecases.put_contracts import NewPerson
from sekisho.usecases.register_contract import register_contract

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sekisho.domain.contract import Bank
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports

_CONTRACT_ID_DIGITS = 11
_PINS = 3


@dataclass(frozen=True, slots=True)
class RegisteredContract:
    """What goes out to the company, in clear, and nothing keeps: three PINs and the card table."""

    contract_id: str
    contract_pin: str
    contract_confirmation_pin: str
    registration_pin: str
    card: Mapping[str, str]


def register_unopened(
    ports: Ports, *, bank: Bank, name: str, administrator: str, language: str, contract_id: str | None, actor: Actor
) -> RegisteredContract:
    """Register it with PINs and a card table drawn here. Raises `DetailsNotAllowed` and `ContractIdTaken`.

    Without a `contract_id` one is drawn. The administrator has a permit to
    acquire, and confirms the opening (開通確認) with the registration PIN.
    """
    names = {"name": one_line(name), "administrator": one_line(administrator)}
    if wrong := {field: problem for field, typed in names.items() if (problem := name_problem(typed))}:
        raise DetailsNotAllowed(fields=wrong)
    while True:
        drawn = draw_secrets(ports, contract_id or draw_contract_id(ports))
        try:
            register_contract(
                ports,
                bank=bank,
                contract_id=drawn.contract_id,
                name=names["name"],
                everyone=[administrator_of(drawn, names["administrator"], language)],
                actor=actor,
                registration_pin=drawn.registration_pin,
            )
        except ContractIdTaken:
            if contract_id is not None:
                raise
        else:
            return drawn


def draw_secrets(ports: Ports, contract_id: str) -> RegisteredContract:
    """Draw what goes out to a new contract on paper."""
    pins: list[str] = []
    while len(pins) < _PINS:
        pin = new_provisional_pin(ports.entropy)
        if pin not in pins and not pin_problems(pin, ids=(contract_id,)):
            pins.append(pin)
    return RegisteredContract(contract_id, pins[0], pins[1], pins[2], card.new_table(ports.entropy))


def administrator_of(drawn: RegisteredContract, name: str, language: str) -> NewPerson:
    """Return the administrator who gets these secrets."""
    return NewPerson(None, name, None, language, drawn.contract_pin, drawn.contract_confirmation_pin, drawn.card)


def draw_contract_id(ports: Ports) -> str:
    """Draw a contract ID, each digit as likely as any other; whether it was given before is not known here."""
    return "".join(str(byte % 10) for byte in _even_bytes(ports))


def _even_bytes(ports: Ports) -> list[int]:
    """Return random bytes below 250, so that no digit is favoured."""
    found: list[int] = []
    while len(found) < _CONTRACT_ID_DIGITS:
        found += [byte for byte in ports.entropy(_CONTRACT_ID_DIGITS) if byte < 250]  # noqa: PLR2004 - whole tens
    return found[:_CONTRACT_ID_DIGITS]
