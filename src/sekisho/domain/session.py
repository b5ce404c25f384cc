"""A person logged on in one browser with one certificate."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from sekisho.domain.errors import (
    SessionCertificateDiffers,
    SessionEndedAge,
    SessionEndedByAdministrator,
    SessionEndedCertificate,
    SessionEndedElsewhere,
    SessionEndedIdle,
    SessionRefused,
)

if TYPE_CHECKING:
    from datetime import datetime

    from sekisho.domain.person import PersonId
    from sekisho.domain.policy import Policy


class SessionEnd(StrEnum):
    """Why a session ended before its time."""

    LOGOFF = "logoff"
    ELSEWHERE = "elsewhere"
    # Of a user, ended by the administrator of the contract. The column holds twelve letters.
    BY_ADMINISTRATOR = "admin"
    CERTIFICATE = "certificate"
    CLOSED = "closed"
    PIN_CHANGED = "pin-changed"


class Lasting(Protocol):
    """What every session has, whoever it is of."""

    @property
    def certificate_id(self) -> int:
        """The certificate that opened it."""

    @property
    def opened_at(self) -> datetime:
        """When it was opened."""

    @property
    def seen_at(self) -> datetime:
        """When the person was last there."""

    @property
    def ended_at(self) -> datetime | None:
        """When it ended before its time."""

    @property
    def end(self) -> SessionEnd | None:
        """Why."""


def check_lasting(session: Lasting, certificate_id: int, policy: Policy, now: datetime) -> None:
    """Raise the refusal that says why a session is not good at `now` with that certificate."""
    if session.ended_at is not None:
        if session.end is SessionEnd.ELSEWHERE:
            raise SessionEndedElsewhere
        if session.end is SessionEnd.BY_ADMINISTRATOR:
            raise SessionEndedByAdministrator
        if session.end is SessionEnd.CERTIFICATE:
            raise SessionEndedCertificate
        raise SessionRefused
    if session.certificate_id != certificate_id:
        raise SessionCertificateDiffers
    if now - session.opened_at >= policy.session_life:
        raise SessionEndedAge
    if now - session.seen_at >= policy.session_idle:
        raise SessionEndedIdle


@dataclass(frozen=True, slots=True)
class Session:
    """An open session, or what is left of one.

    `positions` are the card's positions that are still to be answered; while
    there are any, the logon is not complete and opens nothing but the card page.
    """

    id: int
    person: PersonId
    certificate_id: int
    opened_at: datetime
    seen_at: datetime
    positions: tuple[int, ...] = ()
    ended_at: datetime | None = None
    end: SessionEnd | None = None

    def check(self, certificate_id: int, policy: Policy, now: datetime) -> None:
        """Raise the refusal that says why this session is not good at `now` with that certificate."""
        check_lasting(self, certificate_id, policy, now)
