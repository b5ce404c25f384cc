"""Register a company with its administrator and users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.errors import PinNotAllowed
from sekisho.domain.secret import normal_form, pin_problems
from sekisho.usecases.put_contracts import NewContract, NewPerson, PreparedContract, put_contracts

if TYPE_CHECKING:
    from sekisho.domain.contract import Bank
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports


def register_contract(
    ports: Ports,
    *,
    bank: Bank,
    contract_id: str,
    name: str,
    everyone: list[NewPerson],
    actor: Actor,
    registration_pin: str | None = None,
    branch: str | None = None,
    kana: str | None = None,
) -> None:
    """Register the contract and all of its people at once, or nothing. Raises `PinNotAllowed` and `ContractIdTaken`.

    `branch` is three digits, None for the operations centre; `kana` is how the name is read.

    With a `registration_pin` the contract stays unopened until its
    administrator has entered that one (開通確認); without, it is open at once.
    """
    now = ports.now()
    new = NewContract(contract_id, name, tuple(everyone), registration_pin, branch, kana)
    prepared = prepare_contract(ports, new)
    ports.db.write(lambda tx: put_contracts(tx, ports, bank, [prepared], actor, now))


def prepare_contract(ports: Ports, new: NewContract, *, drawn: bool = False) -> PreparedContract:
    """Make the verifiers of a contract's secrets, before any transaction. Raises `PinNotAllowed`.

    Three argon2 hashes for most. `drawn` are secrets that this system drew
    and nobody chose: they get verifiers that are quick to make, and are
    hardened by the worker (ADR 0089).
    """
    verifier_of = ports.pins.quick if drawn else ports.pins.hash
    hashed = []
    for person in new.everyone:
        pin, confirmation_pin = _checked(new.contract_id, person)
        hashed.append((person, verifier_of(pin), verifier_of(confirmation_pin)))
    registration = new.registration_pin
    if registration is None:
        return PreparedContract(new, hashed, None)
    _check(pin_problems(normal_form(registration), ids=(new.contract_id,)))
    return PreparedContract(new, hashed, verifier_of(registration))


def _checked(contract_id: str, person: NewPerson) -> tuple[str, str]:
    """Return both of a person's PINs. Raises `PinNotAllowed`."""
    ids = (contract_id,) if person.user_id is None else (contract_id, person.user_id)
    pins = (person.pin, person.confirmation_pin)
    for pin, sister in zip(pins, reversed(pins), strict=True):
        _check(pin_problems(normal_form(pin), ids=ids, sister=sister))
    return pins


def _check(problems: list[str]) -> None:
    if problems:
        raise PinNotAllowed(problems=", ".join(problems))
