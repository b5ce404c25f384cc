"""A company, its people and the bank they belong to, as the tables keep them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sekisho.domain.errors import ContractClosed, UserSuspended

if TYPE_CHECKING:
    from datetime import datetime

    from sekisho.domain.person import PersonId
    from sekisho.domain.policy import Policy


@dataclass(frozen=True, slots=True)
class Bank:
    """One tenant. What stands on every page and mail, by language ("ja", "en"), and its policy."""

    code: str
    name: dict[str, str]
    service_name: dict[str, str]
    help_desk_phone: str
    help_desk_hours: dict[str, str]
    policy: Policy


@dataclass(frozen=True, slots=True)
class Person:
    """An administrator or a user.

    `closed_at` is their own door, `contract_closed_at` the administrator's:
    a closed administrator shuts out every user of the contract.
    """

    id: int
    who: PersonId
    name: str
    contract_name: str
    mail_address: str | None
    language: str
    closed_at: datetime | None = None
    contract_closed_at: datetime | None = None

    @property
    def door_open(self) -> bool:
        """Whether neither the person nor the contract is shut out."""
        return self.closed_at is None and self.contract_closed_at is None

    def check_door(self) -> None:
        """Raise the refusal that tells a person who showed their certificate why they are shut out."""
        if self.contract_closed_at is not None:
            raise ContractClosed
        if self.closed_at is not None:
            raise UserSuspended
