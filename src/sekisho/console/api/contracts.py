"""Contracts with their people and certificates, and their registration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Query

from sekisho.console.api.answers import CONFLICT, NOT_FOUND
from sekisho.console.api.bodies import (
    CertificatesBody,
    ContractBody,
    ContractsBody,
    NewContractsBody,
    OpeningBody,
    PeopleBody,
    PermitBody,
    PersonBody,
    RegisteredBody,
    RegisteredContractsBody,
)
from sekisho.console.api.caller import Caller, IdempotencyKey, System, TheSite, turn
from sekisho.console.api.certificates import certificate_body
from sekisho.usecases.find_contracts import find_contracts, read_contract, visible_contract
from sekisho.usecases.serve_systems import read_asked, register_contracts

if TYPE_CHECKING:
    from sekisho.domain.contract import Person
    from sekisho.store.contracts import Contract
    from sekisho.usecases.find_contracts import PersonLine
    from sekisho.usecases.serve_systems import RegisteredLine

router = APIRouter(tags=["contracts"])
_Typed = Annotated[str, Query(max_length=200)]


@router.get("/contracts")
def list_contracts(
    site: TheSite, current: Caller, search: _Typed = "", branch: _Typed = "", after: _Typed | None = None
) -> ContractsBody:
    """List contracts by the beginning of their ID or of the company's name, in kanji or kana."""
    found = find_contracts(site.ports, staff=current.staff, looked_for=search, branch=branch, after=after)
    return ContractsBody(contracts=[_contract(one) for one in found.contracts], next=found.after)


@router.get("/contracts/{contract_id}", responses=NOT_FOUND)
def get_contract(site: TheSite, current: Caller, contract_id: str) -> ContractBody:
    """Return one contract."""
    return _contract(visible_contract(site.ports, at_work=current, contract_id=contract_id))


@router.get("/contracts/{contract_id}/people", responses=NOT_FOUND)
def list_people(site: TheSite, current: Caller, contract_id: str) -> PeopleBody:
    """List a contract's people, each with the newest certificate and permit; who looked is on record."""
    whole = read_contract(site.ports, at_work=current, contract_id=contract_id)
    return PeopleBody(people=[_person(one) for one in whole.people])


@router.get("/contracts/{contract_id}/certificates", responses=NOT_FOUND)
def list_certificates(site: TheSite, current: Caller, contract_id: str) -> CertificatesBody:
    """List a contract's certificates, those of people who were deleted included; who looked is on record."""
    whole = read_contract(site.ports, at_work=current, contract_id=contract_id)
    return CertificatesBody(certificates=[certificate_body(one) for one in whole.certificates])


@router.post("/contracts", dependencies=[Depends(turn)], responses=CONFLICT)
def add_contracts(
    site: TheSite, current: System, body: NewContractsBody, idempotency_key: IdempotencyKey
) -> RegisteredContractsBody:
    """Register contracts that wait for their opening, each or none; one that is wrong keeps no other from it."""
    asked = read_asked(current, idempotency_key, b"contracts " + body.model_dump_json().encode())
    done = register_contracts(
        site.ports,
        bank=site.bank,
        at_work=current,
        asked=asked,
        contracts=[one.model_dump() for one in body.contracts],
        dry_run=body.dry_run,
    )
    return RegisteredContractsBody(contracts=[_registered(one) for one in done])


def _contract(contract: Contract) -> ContractBody:
    return ContractBody.model_validate({name: getattr(contract, name) for name in ContractBody.model_fields})


def _person(line: PersonLine) -> PersonBody:
    person, permit = line.person, line.permit
    return PersonBody(
        user_id=person.who.user_id,
        name=person.name,
        door=_door(person),
        applications=list(person.applications),
        certificate=None if line.certificate is None else certificate_body(line.certificate),
        permit=None if permit is None else PermitBody.model_validate(permit),
        last_logon_at=line.last_logon,
    )


def _door(person: Person) -> str:
    if person.stopped_at or person.contract_stopped_at:
        return "stopped"
    if person.closed_at or person.contract_closed_at:
        return "closed"
    return "open" if person.contract_opened_at else "contract-not-open"


def _registered(line: RegisteredLine) -> RegisteredBody:
    outcome, theirs = line.outcome, line.secrets
    return RegisteredBody(
        contract_id=outcome.contract_id,
        done=outcome.done.value,
        field=outcome.column,
        code=outcome.code,
        opening=None
        if theirs is None
        else OpeningBody(
            contract_pin=theirs.contract_pin,
            contract_confirmation_pin=theirs.contract_confirmation_pin,
            registration_pin=theirs.registration_pin,
            card=dict(theirs.card),
        ),
    )
