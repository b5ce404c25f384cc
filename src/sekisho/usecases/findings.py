"""What a comparison of the database with a journal finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Disagreement(StrEnum):
    """In what the database and the journal do not agree; the codes are published."""

    MISSING = "certificate-missing"
    DIFFERS = "certificate-differs"
    NOT_IN_JOURNAL = "certificate-not-in-journal"
    ENDING_FORGOTTEN = "ending-forgotten"


@dataclass(frozen=True, slots=True)
class Finding:
    """One disagreement about a certificate of a kind of person, or of `staff`.

    `repaired` tells that it is none any more, `why` why it could not be, or
    what is left to do.
    """

    what: Disagreement
    kind: str
    serial: int
    repaired: bool = False
    why: str | None = None


@dataclass(slots=True)
class Tally:
    """How much was compared."""

    certificates: int = 0
    journal: int = 0
    waiting: int = 0
