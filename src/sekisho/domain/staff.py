"""The bank's own people at the console, and its systems.

clerk 係, approver 検印者, operator センター, auditor 監査, policy keeper 規則担当.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sekisho.domain.errors import RoleMissing, RolesConflict, StaffClosed
from sekisho.domain.session import check_lasting

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sekisho.domain.policy import Policy
    from sekisho.domain.session import SessionEnd

_STAFF_ID = re.compile(r"[A-Za-z0-9]{1,30}")
_BRANCH = re.compile(r"[0-9]{3}")


class Role(StrEnum):
    """What somebody may do at the console; each is granted and withdrawn for itself."""

    CLERK = "clerk"
    APPROVER = "approver"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    # Changes the bank's rules, together with another one.
    KEEPER = "keeper"
    # A program of the bank, which has a certificate and logs on nowhere.
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Grant:
    """A role that somebody has: who granted it, when, and as a row where that was one of the bank's own people."""

    role: Role
    granted_by: str
    granted_at: datetime
    id: int = 0
    granted_by_id: int | None = None


@dataclass(frozen=True, slots=True)
class Staff:
    """One of the bank's people; `branch` is three digits, None for the operations centre."""

    id: int
    bank: str
    staff_id: str
    name: str
    branch: str | None
    registered_at: datetime
    grants: tuple[Grant, ...] = ()
    closed_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def roles(self) -> frozenset[Role]:
        """The roles that were granted and not withdrawn."""
        return frozenset(grant.role for grant in self.grants)

    def sees(self, bank: str, branch: str | None) -> bool:
        """Tell whether a contract of that bank and branch is theirs to see.

        A branch sees its own contracts, the operations centre all of the
        bank; a contract without a branch is the centre's.
        """
        return bank == self.bank and self.branch in {None, branch}

    @property
    def of_the_centre(self) -> bool:
        """Whether they are of the operations centre, and of no branch."""
        return self.branch is None

    def require(self, *roles: Role) -> None:
        """Raise `RoleMissing` unless one of the roles is theirs."""
        if not self.roles.intersection(roles):
            raise RoleMissing

    def require_at_centre(self, *roles: Role) -> None:
        """Raise `RoleMissing` unless one of the roles is theirs, and they are of the operations centre."""
        self.require(*roles)
        if not self.of_the_centre:
            raise RoleMissing

    def check_door(self) -> None:
        """Raise `StaffClosed` where misses have shut them out."""
        if self.closed_at is not None:
            raise StaffClosed


@dataclass(frozen=True, slots=True)
class StaffSession:
    """Somebody of the bank logged on in one browser with one certificate, or what is left of that."""

    id: int
    staff: int
    certificate_id: int
    opened_at: datetime
    seen_at: datetime
    ended_at: datetime | None = None
    end: SessionEnd | None = None

    def check(self, certificate_id: int, policy: Policy, now: datetime) -> None:
        """Raise the refusal that says why this session is not good at `now` with that certificate."""
        check_lasting(self, certificate_id, policy, now)


def check_roles(roles: Collection[Role]) -> None:
    """Raise `RolesConflict` for roles that one must not have together.

    Who watches does not act, nor does a program what a person does.
    """
    if {Role.AUDITOR, Role.SYSTEM}.intersection(roles) and len(set(roles)) > 1:
        raise RolesConflict


def is_staff_id(text: str) -> bool:
    """Tell whether `text` is 1 to 30 of A-Z a-z 0-9."""
    return text.isascii() and _STAFF_ID.fullmatch(text) is not None


def is_branch(text: str) -> bool:
    """Tell whether `text` is a branch's three digits."""
    return text.isascii() and _BRANCH.fullmatch(text) is not None
