"""Renew by itself what is due, and find out what only a person can do (J8)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from tegata import agent
from tegata.errors import Refused, Unfinished

if TYPE_CHECKING:
    from datetime import datetime

    from tegata.agent import Way
    from tegata.records import Book, Record
    from tegata.stores.interface import KeyStore

# The bank allows it to nobody, or not for this certificate.
_WANTS_A_PERSON = frozenset({"not-accepted", "renewal-needs-pin"})


class Outcome(StrEnum):
    """What came of a look at one certificate."""

    NOT_DUE = "not-due"
    RENEWED = "certificate-renewed"
    WAITS_FOR_PIN = "renewal-needs-pin"
    NOT_IN_FORCE = "certificate-not-in-force"


@dataclass(frozen=True, slots=True)
class Looked:
    """One certificate: from when it can be renewed, when it ends, the bank's words where its door is shut to it."""

    record: Record
    outcome: Outcome
    renewal_opens: datetime | None = None
    not_after: datetime | None = None
    said: str = ""

    @property
    def needs_person(self) -> bool:
        """Whether somebody has to do something."""
        return self.outcome in {Outcome.WAITS_FOR_PIN, Outcome.NOT_IN_FORCE}


def look(way: Way, book: Book, store: KeyStore, record: Record) -> Looked:
    """Ask the bank how a certificate stands, and renew it where it is time and no PIN is wanted. Raises `Trouble`.

    What an earlier run has begun goes on with the same key.
    """
    present = record.present
    standing = None if present is None else agent.ask_standing(way, store, record, present)
    if standing is None:
        raise Unfinished("certificate-not-found", store=record.store)
    if not standing.in_force:
        return Looked(record, Outcome.NOT_IN_FORCE, said=standing.said)
    if not standing.renewal_open:
        return Looked(record, Outcome.NOT_DUE, standing.renewal_opens, standing.not_after)
    met = agent.meet(way, record.url, record.bank)
    try:
        brought = agent.renew(way, met, book, store, record, pin=None)
    except Refused as no:
        if no.reason not in _WANTS_A_PERSON:
            raise
        return Looked(record, Outcome.WAITS_FOR_PIN, standing.renewal_opens, standing.not_after)
    new = brought.issued.certificate
    return Looked(brought.record, Outcome.RENEWED, not_after=new.not_valid_after_utc)
