"""What each kind of request form asks for, in the order of its paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sekisho.domain.request_forms import FormKind

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that a form asks for: `choices` to tick, or so many lines to write on."""

    name: str
    choices: tuple[str, ...] = ()
    lines: int = 1


_USER = Field("user_id")
_WHOSE = Field("whose", ("administrator", "user"))
_WHAT = Field("what", ("contract", "user"))

FIELDS: Mapping[FormKind, tuple[Field, ...]] = {
    FormKind.CERTIFICATE_REISSUE: (
        _WHOSE,
        _USER,
        Field("reason", ("new-computer", "computer-broken", "computer-lost", "certificate-ended", "other")),
    ),
    FormKind.CERTIFICATE_REVOCATION: (
        _WHOSE,
        _USER,
        Field("reason", ("computer-lost", "person-left", "computer-retired", "other")),
    ),
    FormKind.CARD_REISSUE: (
        Field("reason", ("card-lost", "card-stolen", "card-damaged", "card-not-arrived", "other")),
        Field("delivery", ("registered-address", "at-branch")),
    ),
    FormKind.INTERIM_STEP: (Field("reason", ("card-on-its-way", "app-lost", "other")),),
    FormKind.LOCKOUT_LIFT: (
        Field("closed", ("contract-pin", "contract-confirmation-pin", "card-answer", "not-known")),
        Field("circumstances", lines=2),
    ),
    FormKind.PIN_RESET: (
        Field("pins", ("contract-pin", "contract-confirmation-pin")),
        Field("reason", ("pin-forgotten", "pin-known-to-others", "other")),
    ),
    FormKind.EMERGENCY_STOP: (
        _WHAT,
        _USER,
        Field("reason", ("computer-lost", "card-lost", "logon-not-mine", "person-left", "other")),
        Field("circumstances", lines=2),
    ),
    FormKind.EMERGENCY_STOP_LIFT: (_WHAT, _USER, Field("circumstances", lines=2)),
    FormKind.CONTRACT_OPENING: (
        Field("company_kana"),
        Field("administrator_name"),
        Field("mail_address"),
    ),
    FormKind.CONTRACT_CHANGE: (
        Field("changes", ("company-name", "address", "phone", "branch", "administrator", "mail-address")),
        Field("before", lines=2),
        Field("after", lines=2),
    ),
    FormKind.CONTRACT_END: (Field("ends_on"), Field("circumstances", lines=2)),
}
