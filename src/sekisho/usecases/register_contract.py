"""Register a company with its administrator and users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sekisho.domain.customer_card import CardState, new_number
from sekisho.domain.errors import PinNotAllowed
from sekisho.domain.person import PersonId
from sekisho.domain.secret import SecretName, normal_form, pin_problems
from sekisho.store import audit, cards, people, permits, secrets

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports


@dataclass(frozen=True, slots=True)
class NewPerson:
    """A person with final PINs; `card` is the administrator's card table, `permitted` grants a permit at once."""

    user_id: str | None
    name: str
    mail_address: str | None
    language: str
    pin: str
    confirmation_pin: str
    card: Mapping[str, str] | None = None
    permitted: bool = True


@dataclass(frozen=True, slots=True)
class NewContract:
    """A contract to be registered, as `register_contract` takes it."""

    contract_id: str
    name: str
    everyone: tuple[NewPerson, ...]
    registration_pin: str | None = None
    branch: str | None = None
    kana: str | None = None


@dataclass(frozen=True, slots=True)
class PreparedContract:
    """A contract whose secrets are hashed: each person with the verifiers of both PINs, and the registration PIN's."""

    contract: NewContract
    hashed: list[tuple[NewPerson, str, str]]
    registration: str | None


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
    ports.db.write(lambda tx: put_contract(tx, ports, bank, prepared, actor, now))


def prepare_contract(ports: Ports, new: NewContract) -> PreparedContract:
    """Hash a contract's secrets, three argon2 hashes for most, before any transaction. Raises `PinNotAllowed`."""
    pin = new.registration_pin
    hashed = [
        (
            person,
            _hash(ports, person.pin, new.contract_id, person),
            _hash(ports, person.confirmation_pin, new.contract_id, person),
        )
        for person in new.everyone
    ]
    return PreparedContract(new, hashed, None if pin is None else _hash_registration(ports, pin, new.contract_id))


def put_contract(
    tx: Connection, ports: Ports, bank: Bank, prepared: PreparedContract, actor: Actor, now: datetime
) -> None:
    """Write a prepared contract with its audit rows."""
    new, registration = prepared.contract, prepared.registration
    opened_at = None if registration else now
    people.add_contract(
        tx, bank.code, new.contract_id, new.name, now, opened_at=opened_at, branch=new.branch, kana=new.kana
    )
    audit.add(tx, "contract-registered", actor, at=now, who=PersonId(bank.code, new.contract_id))
    for person, pin, confirmation_pin in prepared.hashed:
        person_id = _register(
            tx, ports, bank, new.contract_id, person, pin, confirmation_pin, actor, now, opened=opened_at is not None
        )
        if registration is not None and person.user_id is None:
            secrets.put(tx, person_id, SecretName.REGISTRATION_PIN, registration, now)


def _register(
    tx: Connection,
    ports: Ports,
    bank: Bank,
    contract_id: str,
    person: NewPerson,
    pin: str,
    confirmation_pin: str,
    actor: Actor,
    now: datetime,
    *,
    opened: bool,
) -> int:
    who = PersonId(bank.code, contract_id, person.user_id)
    person_id = people.add(
        tx, who, name=person.name, mail_address=person.mail_address, language=person.language, now=now
    )
    secrets.put(tx, person_id, SecretName.PIN, pin, now)
    secrets.put(tx, person_id, SecretName.CONFIRMATION_PIN, confirmation_pin, now)
    if person.card is not None:
        state = CardState.IN_USE if opened else CardState.POSTED
        cards.add(tx, who, number=new_number(ports.entropy(8)), state=state, sealed=None, now=now)
        secrets.put(tx, person_id, SecretName.CARD, ports.seal.seal(person.card, contract_id), now)
    audit.add(tx, f"{who.kind.value}-registered", actor, at=now, who=who, person_id=person_id)
    if person.permitted:
        permit_id = permits.grant(tx, person_id, now=now, expires_at=now + bank.policy.acquisition_window)
        audit.add(tx, "permit-granted", actor, at=now, who=who, person_id=person_id, permit=permit_id)
    return person_id


def _hash_registration(ports: Ports, pin: str, contract_id: str) -> str:
    if problems := pin_problems(normal_form(pin), ids=(contract_id,)):
        raise PinNotAllowed(problems=", ".join(problems))
    return ports.pins.hash(pin)


def _hash(ports: Ports, pin: str, contract_id: str, person: NewPerson) -> str:
    ids = (contract_id,) if person.user_id is None else (contract_id, person.user_id)
    problems = pin_problems(
        normal_form(pin), ids=ids, sister=person.confirmation_pin if pin is person.pin else person.pin
    )
    if problems:
        raise PinNotAllowed(problems=", ".join(problems))
    return ports.pins.hash(pin)
