"""Leave to acquire one certificate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from sekisho.domain.errors import PermitExpired, PermitSpent, PermitWithdrawn

if TYPE_CHECKING:
    from datetime import datetime

    from sekisho.domain.person import PersonId


class PermitState(StrEnum):
    """Where a permit stands."""

    GRANTED = "granted"
    SPENT = "spent"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave for one person to acquire one certificate until `expires_at`.

    `misses` counts wrong entries made against it while it is open: at the
    policy's limit the permit ends, not the person's logon.
    """

    id: int
    person: PersonId
    granted_at: datetime
    expires_at: datetime
    spent_at: datetime | None = None
    withdrawn_at: datetime | None = None
    misses: int = 0

    def is_open(self, now: datetime) -> bool:
        """Tell whether it can still be spent at `now`."""
        return self.spent_at is None and self.withdrawn_at is None and now < self.expires_at

    def state(self, now: datetime) -> PermitState:
        """Return where it stands at `now`."""
        if self.spent_at is not None:
            return PermitState.SPENT
        if self.withdrawn_at is not None:
            return PermitState.WITHDRAWN
        return PermitState.GRANTED if now < self.expires_at else PermitState.EXPIRED

    def spend(self, now: datetime) -> Permit:
        """Return the permit as spent at `now`."""
        if self.spent_at is not None:
            raise PermitSpent(since=self.spent_at)
        if self.withdrawn_at is not None:
            raise PermitWithdrawn
        if now >= self.expires_at:
            raise PermitExpired(until=self.expires_at)
        return replace(self, spent_at=now)
