"""Who somebody is, as they type it and as certificates and EST spell it."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    """An administrator (`user_id` is None) or a user of a contract at a bank."""

    bank: str
    contract_id: str
    user_id: str | None = None

    @property
    def kind(self) -> str:
        """Whose door: "administrator" or "user", as the bank names its sites."""
        return "administrator" if self.user_id is None else "user"

    @property
    def common_name(self) -> str:
        """The common name that their certificate has, but for the case of the user ID."""
        return f"{self.contract_id}{self.user_id or ''}{self.bank}"

    @property
    def est_name(self) -> str:
        """The user name of HTTP Basic."""
        return self.contract_id if self.user_id is None else f"{self.contract_id}/{self.user_id}"


def typed(bank: str, contract_id: str, user_id: str | None) -> Person:
    """Return whom somebody typed: full-width characters, spaces and hyphens in the contract ID are forgiven."""
    return Person(
        _narrow(bank),
        _narrow(contract_id).replace("-", ""),
        _narrow(user_id) if user_id else None,
    )


def _narrow(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip()
