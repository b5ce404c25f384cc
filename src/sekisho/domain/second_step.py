"""The second step of an administrator's logon: the card, an authenticator app's code, or a passkey."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from sekisho.domain.errors import EntryNotDigits
from sekisho.domain.secret import normal_form

_DIGITS = 6
LONGEST_LABEL = 40
# How long an app counts that stands in for a lost card at a bank that offers none: a card takes three weeks at most.
INTERIM_APP = timedelta(days=60)


class SecondStep(StrEnum):
    """What the second step is taken with."""

    CARD = "card"
    TOTP = "totp"
    PASSKEY = "passkey"
    # A code from the branch for whoever has lost the card or the app: with it an app is set up, nothing else.
    INTERIM = "interim"


# What a bank offers or does not; the branch's code needs a form each time.
OF_THE_BANK = (SecondStep.CARD, SecondStep.TOTP, SecondStep.PASSKEY)


def read_code(entry: str) -> str:
    """Return a typed code as 6 ASCII digits; blanks between them are taken away. Raises `EntryNotDigits`."""
    code = "".join(normal_form(entry).split())
    if len(code) != _DIGITS or not (code.isascii() and code.isdigit()):
        raise EntryNotDigits(fields={"code": "entry-not-six-digits"})
    return code
