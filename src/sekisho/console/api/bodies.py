"""What goes over the wire as JSON. Moments are UTC, serial numbers 32 hexadecimal digits."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from sekisho.usecases.file_form import AT_COUNTER

_MOST_AT_ONCE = 25
_Kind = Annotated[str, Field(json_schema_extra={"enum": [kind.value for kind in AT_COUNTER]})]
_Text = Annotated[str, StringConstraints(max_length=200)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", from_attributes=True)


class Problem(BaseModel):
    """Why something was not done: RFC 9457. `code` is the published one, `fields` tells what is wrong where."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    fields: dict[str, str] = Field(default_factory=dict)


class ContractBody(_Body):
    """A company."""

    contract_id: str
    name: str
    branch: str | None
    registered_at: datetime
    opened_at: datetime | None
    ended_at: datetime | None


class ContractsBody(_Body):
    """One page of contracts; `next` is the `after` of the next one, null on the last."""

    contracts: list[ContractBody]
    next: str | None


class CertificateBody(_Body):
    """A certificate; `user_id` is null for the administrator's."""

    serial: str
    user_id: str | None
    not_before: datetime
    not_after: datetime
    held: str
    issued_at: datetime
    suspended_at: datetime | None
    ended_at: datetime | None
    reason: str | None


class PermitBody(_Body):
    """Leave to acquire one certificate."""

    granted_at: datetime
    expires_at: datetime
    spent_at: datetime | None
    withdrawn_at: datetime | None


class PersonBody(_Body):
    """One of a contract's people; `user_id` is null for the administrator.

    `door` tells whether they may enter: "open", "stopped", "closed" (by
    misses) or "contract-not-open".
    """

    user_id: str | None
    name: str
    door: str
    applications: list[str]
    certificate: CertificateBody | None
    permit: PermitBody | None
    last_logon_at: datetime | None


class PeopleBody(_Body):
    """A contract's people, the administrator first."""

    people: list[PersonBody]


class CertificatesBody(_Body):
    """A contract's certificates, the newest first."""

    certificates: list[CertificateBody]


class ContractPermitBody(PermitBody):
    """A permit with whose it is: `user_id` is null for the administrator's.

    `state` is "granted", "spent", "expired" or "withdrawn".
    """

    user_id: str | None
    state: str


class ContractPermitsBody(_Body):
    """The permits of a contract's people, the newest first, at most 200."""

    permits: list[ContractPermitBody]


class WhoseBody(_Body):
    """One of a contract's people; an empty `user_id` is the administrator."""

    user_id: _Text = ""


class CardBody(_Body):
    """A customer card: `state` is "ordered", "made", "posted", "in-use", "lost", "replaced" or "ended", since then.

    `expected_at` is when it should be with the customer at the latest, of a card that was ordered here.
    """

    number: str
    state: str
    since: datetime
    expected_at: datetime | None


class CardsBody(_Body):
    """A contract's customer cards, the newest first."""

    cards: list[CardBody]


class NewContractBody(_Body):
    """A contract to be registered: the columns of `sekisho contract import`."""

    contract_id: _Text
    name: _Text
    administrator: _Text
    kana: _Text | None = None
    branch: _Text | None = None
    language: _Text | None = None


class NewContractsBody(_Body):
    """Contracts to be registered at once; a dry run registers none and tells what would become of each."""

    contracts: list[NewContractBody] = Field(min_length=1, max_length=_MOST_AT_ONCE)
    dry_run: bool = False


class OpeningBody(_Body):
    """What goes out to a new contract's company on paper. Nothing keeps it for longer than a day."""

    contract_pin: str
    contract_confirmation_pin: str
    registration_pin: str
    card: dict[str, str]


class RegisteredBody(_Body):
    """What became of one contract: "registered", "can-be-registered", "there-already", "wrong".

    Where it is wrong, in which field (null: all of it) and why.
    """

    contract_id: str
    done: str
    field: str | None
    code: str | None
    opening: OpeningBody | None


class RegisteredContractsBody(_Body):
    """What became of each contract, in their order."""

    contracts: list[RegisteredBody]


class FormBody(_Body):
    """A request form."""

    number: str
    kind: str
    state: str
    contract_id: str | None
    user_id: str | None
    branch: str | None
    detail: dict[str, str]
    filed_at: datetime
    moved_at: datetime | None
    overdue: bool
    reason: str | None


class FormsBody(_Body):
    """Forms under way, the oldest first; `next` is the `after` of the next page, null on the last."""

    forms: list[FormBody]
    next: int | None


class NewFormBody(_Body):
    """What came on paper. `detail` is asked for by a change of the contract alone."""

    contract_id: _Text
    kind: _Kind
    user_id: _Text = ""
    detail: dict[_Text, _Text] = Field(default_factory=dict, max_length=20)


class FiledBody(_Body):
    """The number under which a form was filed."""

    number: str


class EventBody(_Body):
    """One row of the audit trail. `user_id` is null for an administrator, and where it concerns nobody."""

    id: int
    at: datetime
    action: str
    contract_id: str | None
    user_id: str | None
    actor: str
    serial: str | None
    detail: dict[str, Any]


class EventsBody(_Body):
    """What was done, in its order; `next` is the `after` from which to read on, now or later."""

    events: list[EventBody]
    next: int
