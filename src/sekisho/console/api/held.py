"""A contract's permits and customer cards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

from sekisho.console.api.answers import CONFLICT, NOT_FOUND
from sekisho.console.api.bodies import CardBody, CardsBody, ContractPermitBody, ContractPermitsBody, WhoseBody
from sekisho.console.api.caller import Caller, IdempotencyKey, System, TheSite
from sekisho.usecases.read_held import read_cards, read_permits
from sekisho.usecases.serve_systems import read_asked
from sekisho.usecases.shut_for_system import withdraw_for_system

if TYPE_CHECKING:
    from datetime import datetime

    from sekisho.domain.permit import Permit

router = APIRouter(tags=["contracts"])


@router.get("/contracts/{contract_id}/permits", responses=NOT_FOUND)
def list_permits(site: TheSite, current: Caller, contract_id: str) -> ContractPermitsBody:
    """List the permits of a contract's people; who looked is on record."""
    found, now = read_permits(site.ports, at_work=current, contract_id=contract_id), site.ports.now()
    return ContractPermitsBody(permits=[_permit(one, now) for one in found])


@router.post("/contracts/{contract_id}/permits/withdraw", responses=NOT_FOUND | CONFLICT)
def withdraw_permit(
    site: TheSite, current: System, contract_id: str, body: WhoseBody, idempotency_key: IdempotencyKey
) -> ContractPermitBody:
    """Withdraw a person's open permit at once. Another is given with a form `certificate-reissue`."""
    request = f"withdraw {contract_id} ".encode() + body.model_dump_json().encode()
    withdrawn = withdraw_for_system(
        site.ports,
        at_work=current,
        asked=read_asked(current, idempotency_key, request),
        contract_id=contract_id,
        user_id=body.user_id,
    )
    return _permit(withdrawn, site.ports.now())


@router.get("/contracts/{contract_id}/cards", responses=NOT_FOUND)
def list_cards(site: TheSite, current: Caller, contract_id: str) -> CardsBody:
    """List a contract's customer cards and where each is; who looked is on record."""
    found = read_cards(site.ports, at_work=current, contract_id=contract_id)
    return CardsBody(
        cards=[
            CardBody(number=one.number, state=one.state.value, since=one.moved_at, expected_at=one.expected_at)
            for one in found
        ]
    )


def _permit(permit: Permit, now: datetime) -> ContractPermitBody:
    return ContractPermitBody(
        user_id=permit.person.user_id,
        state=permit.state(now).value,
        granted_at=permit.granted_at,
        expires_at=permit.expires_at,
        spent_at=permit.spent_at,
        withdrawn_at=permit.withdrawn_at,
    )
