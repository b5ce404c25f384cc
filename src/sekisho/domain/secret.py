"""The secrets that people type: their names, their normal form and the rules for new ones."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# Longer than any secret and its full-width form; what is longer is not worth an argon2 check.
LONGEST_ENTRY = 64


class SecretName(StrEnum):
    """Each secret has a count of misses of its own."""

    PIN = "pin"
    CONFIRMATION_PIN = "confirmation-pin"
    CARD = "card"
    TOTP = "totp"
    # Shown to a person who adds one, and not theirs until they have typed a code of it.
    NEW_TOTP = "new-totp"
    # From the branch, to set up an app with where the card or the app before is lost.
    INTERIM = "interim"
    # An administrator's, until they have used it for the opening.
    REGISTRATION_PIN = "registration-pin"


_PLAIN = "abcdefghijkmnpqrstuvwxyz23456789"
PROVISIONAL_LENGTH = 10
# A person's two; the card is a bank's.
PINS = (SecretName.PIN, SecretName.CONFIRMATION_PIN)


@dataclass(frozen=True, slots=True)
class PinRules:
    """How long a new PIN may be, in characters, and with how many that were replaced it is compared."""

    shortest: int = 6
    longest: int = 12
    remembered: int = 3


USUAL = PinRules()


def normal_form(entry: str) -> str:
    """Return what was typed in NFKC without surrounding blanks, so that full-width entry works."""
    return unicodedata.normalize("NFKC", entry).strip()


def new_provisional_pin(entropy: Callable[[int], bytes]) -> str:
    """Return a PIN drawn from letters and digits of which none looks like another.

    32 characters, so each is 5 bits of a random byte; ten are 50 bits, more
    than seven guesses can do anything about, and ten characters are neither too
    short nor too long at any bank. It may lack a digit or a letter:
    `pin_problems` tells.
    """
    return "".join(_PLAIN[byte & 31] for byte in entropy(PROVISIONAL_LENGTH))


def pin_problems(pin: str, *, ids: tuple[str, ...], sister: str | None = None, rules: PinRules = USUAL) -> list[str]:
    """Return the rules that a new PIN breaks, as short codes; none where it may be used.

    Whether it was used lately is not known here: only the verifiers are kept.

    `pin` is in normal form. `ids` are the IDs that stand on the card and the
    forms, `sister` is the other PIN of the same person.
    """
    problems = []
    if not rules.shortest <= len(pin) <= rules.longest:
        problems.append("length")
    if not (pin.isascii() and pin.isalnum()):
        problems.append("characters")
    if not (any(c.isdigit() for c in pin) and any(c.isalpha() for c in pin)):
        problems.append("mixture")
    if pin.lower() in {known.lower() for known in ids}:
        problems.append("equals-id")
    if sister is not None and pin == sister:
        problems.append("equals-sister")
    return problems
