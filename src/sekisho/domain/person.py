"""Who a certificate is for, and the names that say so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_COMMON_NAME = re.compile(r"(?P<contract>\d{11})(?P<user>[A-Za-z0-9]{1,30})?(?P<bank>\d{4})")
_CONTRACT_ID = re.compile(r"\d{11}")
_USER_ID = re.compile(r"[A-Za-z0-9]{1,30}")


class Kind(StrEnum):
    """Which of a contract's two doors a person enters by."""

    ADMINISTRATOR = "administrator"
    USER = "user"


@dataclass(frozen=True, slots=True)
class PersonId:
    """A person of a contract: its administrator where `user_id` is None, else a user.

    `bank` is 4 digits, `contract_id` 11, `user_id` 1 to 30 of A-Z a-z 0-9.
    User IDs are told apart without regard to case; see `user_key`.
    """

    bank: str
    contract_id: str
    user_id: str | None = None

    @property
    def kind(self) -> Kind:
        """Administrator or user."""
        return Kind.ADMINISTRATOR if self.user_id is None else Kind.USER

    @property
    def user_key(self) -> str:
        """The user ID as it is compared: lower case, and empty for the administrator."""
        return (self.user_id or "").lower()

    @property
    def common_name(self) -> str:
        """The certificate's common name: contract ID, user ID, bank code, without separators."""
        return f"{self.contract_id}{self.user_id or ''}{self.bank}"

    @property
    def administrator(self) -> PersonId:
        """The administrator of the same contract."""
        return PersonId(self.bank, self.contract_id)


def common_name_fits(common_name: str, kind: Kind, bank: str) -> bool:
    """Tell whether a common name has the form that `kind` of person has at `bank`.

    The first 11 and the last 4 characters are digits, so a user ID between
    them is read without doubt even where it is digits as well.
    """
    match = _COMMON_NAME.fullmatch(common_name)
    if match is None or match["bank"] != bank:
        return False
    return (match["user"] is None) == (kind is Kind.ADMINISTRATOR)


def is_contract_id(text: str) -> bool:
    """Tell whether `text` is 11 ASCII digits."""
    return text.isascii() and _CONTRACT_ID.fullmatch(text) is not None


def is_user_id(text: str) -> bool:
    """Tell whether `text` is 1 to 30 of A-Z a-z 0-9."""
    return text.isascii() and _USER_ID.fullmatch(text) is not None
