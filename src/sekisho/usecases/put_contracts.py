"""Write contracts whose secrets have their verifiers, many at once, each with its people and audit rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sekisho.domain.customer_card import new_number
from sekisho.domain.person import PersonId
from sekisho.domain.secret import SecretName
from sekisho.store import audit, cards, new_contracts, permits, secrets
from sekisho.store.new_contracts import Company, NewRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
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


@dataclass(frozen=True, slots=True)
class _Registered:
    """A person of a prepared contract, and their row."""

    id: int
    who: PersonId
    of: PreparedContract
    person: NewPerson
    pin: str
    confirmation_pin: str


def put_contracts(
    tx: Connection, ports: Ports, bank: Bank, prepared: Sequence[PreparedContract], actor: Actor, now: datetime
) -> None:
    """Write them all, a statement for each table. Raises `ContractIdTaken` where one of the IDs is."""
    companies = [_company(one, now) for one in prepared]
    new_contracts.add(tx, bank.code, companies, now)
    everyone = _put_people(tx, bank, prepared, now)
    secrets.put_new(tx, [row for one in everyone for row in _verifiers(ports, one)], now)
    carded = [one for one in everyone if one.person.card is not None]
    numbers = [(one.who, new_number(ports.entropy(8))) for one in carded]
    cards.add_first(tx, numbers, now, in_use=[one.of.registration is None for one in carded])
    permitted = [one.id for one in everyone if one.person.permitted]
    until = now + bank.policy.acquisition_window
    granted = permits.grant_all(tx, permitted, now=now, expires_at=until)
    _put_audit_rows(tx, companies, everyone, dict(zip(permitted, granted, strict=True)), actor, now)


def _company(one: PreparedContract, now: datetime) -> Company:
    new = one.contract
    return Company(new.contract_id, new.name, new.kana, new.branch, None if one.registration else now)


def _put_people(tx: Connection, bank: Bank, prepared: Sequence[PreparedContract], now: datetime) -> list[_Registered]:
    """Write all contracts' administrators at once, then the users of each."""
    administrators, users = [], []
    for one in prepared:
        named = [(one, *its, PersonId(bank.code, one.contract.contract_id, its[0].user_id)) for its in one.hashed]
        administrators += [its for its in named if its[1].user_id is None]
        users.append([its for its in named if its[1].user_id is not None])
    found = []
    for some in filter(None, [administrators, *users]):
        rows = [NewRow(who, person.name, person.mail_address, person.language) for _, person, _, _, who in some]
        for row_id, (of, person, pin, confirmation_pin, who) in zip(
            new_contracts.add_people(tx, rows, now), some, strict=True
        ):
            found.append(_Registered(row_id, who, of, person, pin, confirmation_pin))
    return found


def _verifiers(ports: Ports, one: _Registered) -> Iterator[tuple[int, SecretName, str]]:
    yield one.id, SecretName.PIN, one.pin
    yield one.id, SecretName.CONFIRMATION_PIN, one.confirmation_pin
    if one.person.card is not None:
        yield one.id, SecretName.CARD, ports.seal.seal(one.person.card, one.who.contract_id)
    if one.of.registration is not None and one.person.user_id is None:
        yield one.id, SecretName.REGISTRATION_PIN, one.of.registration


def _put_audit_rows(
    tx: Connection,
    companies: Sequence[Company],
    everyone: Sequence[_Registered],
    permit_of: Mapping[int, int],
    actor: Actor,
    now: datetime,
) -> None:
    """Write of each contract that it was registered, and of each of its people that they were and may acquire."""
    rows: dict[str, list[dict[str, Any]]] = {one.contract_id: [] for one in companies}
    for one in everyone:
        of_contract = rows[one.who.contract_id]
        if not of_contract:
            company = PersonId(one.who.bank, one.who.contract_id)
            of_contract.append(audit.row("contract-registered", actor, at=now, who=company))
        whose: dict[str, Any] = {"at": now, "who": one.who, "person_id": one.id}
        of_contract.append(audit.row(f"{one.who.kind.value}-registered", actor, **whose))
        if one.id in permit_of:
            of_contract.append(audit.row("permit-granted", actor, **whose, permit=permit_of[one.id]))
    audit.add_all(tx, [row for some in rows.values() for row in some])
