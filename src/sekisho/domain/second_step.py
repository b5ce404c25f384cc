"""The second step of an administrator's logon: the card, an authenticator app's code, or a passkey."""

from __future__ import annotations

from enum import StrEnum

from sekisho.domain.errors import EntryNotDigits
from sekisho.domain.secret import normal_form

_DIGITS = 6
LONGEST_LABEL = 40


class SecondStep(StrEnum):
    """What the second step is taken with."""

    CARD = "card"
    TOTP = "totp"
    PASSKEY = "passkey"


def read_code(entry: str) -> str:
    """Return a typed code as 6 ASCII digits; blanks between them are taken away. Raises `EntryNotDigits`."""
    code = "".join(normal_form(entry).split())
    if len(code) != _DIGITS or not (code.isascii() and code.isdigit()):
        raise EntryNotDigits(fields={"code": "entry-not-six-digits"})
    return code
