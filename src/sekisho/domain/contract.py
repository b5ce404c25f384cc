"""A company, its people and the bank they belong to, as the tables keep them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sekisho.domain.errors import ContractClosed, ContractNotOpen, EmergencyStopped, UserSuspended

if TYPE_CHECKING:
    from datetime import datetime

    from sekisho.domain.person import PersonId
    from sekisho.domain.policy import Policy


@dataclass(frozen=True, slots=True)
class Application:
    """What a bank offers behind Sekisho, and a user may be let into; `name` by language ("ja", "en")."""

    code: str
    name: dict[str, str]


@dataclass(frozen=True, slots=True)
class Bank:
    """One tenant. What stands on every page and mail, by language ("ja", "en"), its policy and its applications."""

    code: str
    name: dict[str, str]
    service_name: dict[str, str]
    help_desk_phone: str
    help_desk_hours: dict[str, str]
    policy: Policy
    applications: tuple[Application, ...] = ()


# For so long a wrong pair of PINs counts of which no permit ends.
GUESSES_COUNT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Person:
    """An administrator or a user.

    `closed_at` is their own door, `contract_closed_at` the administrator's:
    a closed administrator shuts out every user of the contract. An emergency
    stop, of the user or the contract, is for the branch alone to lift.
    `applications` are the codes of those that the person may enter;
    `mail_confirmed` tells whether a mailed code has shown that the person
    reads what goes to the address. Until `contract_opened_at` is set, the
    contract opens for nobody but its administrator, and for them only the
    opening (開通確認). `guesses` counts wrong PINs of whoever would acquire in
    the person's name without an open permit, from `guesses_since` on.
    """

    id: int
    who: PersonId
    name: str
    contract_name: str
    mail_address: str | None
    language: str
    closed_at: datetime | None = None
    contract_closed_at: datetime | None = None
    stopped_at: datetime | None = None
    contract_stopped_at: datetime | None = None
    applications: tuple[str, ...] = ()
    mail_confirmed: bool = False
    contract_opened_at: datetime | None = None
    guesses: int = 0
    guesses_since: datetime | None = None

    def guessed_at(self, limit: int, now: datetime) -> bool:
        """Tell whether so many PINs were guessed of late that the right ones are told nothing without a permit."""
        since = self.guesses_since
        return since is not None and self.guesses >= limit and now < since + GUESSES_COUNT

    @property
    def door_open(self) -> bool:
        """Whether neither the person nor the contract is shut out, and a user's contract is open."""
        shut = (self.closed_at, self.contract_closed_at, self.stopped_at, self.contract_stopped_at)
        return all(at is None for at in shut) and not self._waits_for_opening

    def check_door(self) -> None:
        """Raise the refusal that tells a person who showed their certificate why they are shut out."""
        if self.contract_stopped_at is not None or self.stopped_at is not None:
            raise EmergencyStopped
        if self.contract_closed_at is not None:
            raise ContractClosed
        if self._waits_for_opening:
            raise ContractNotOpen
        if self.closed_at is not None:
            raise UserSuspended

    @property
    def _waits_for_opening(self) -> bool:
        return self.who.user_id is not None and self.contract_opened_at is None
