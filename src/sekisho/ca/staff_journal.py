"""The journal of the staff's CA: the same as that of the issuing CAs, for the console's certificates.

No process of its own holds it. Whoever signs or compares opens it for as
long as that takes; another waits for some seconds, or gets `JournalInUse`.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sekisho.ca import keys
from sekisho.ca.blocks import JournalBroken
from sekisho.ca.entries import Ended
from sekisho.ca.journal import Journal
from sekisho.ca.sealing import Draft
from sekisho.domain.certificate import Reason
from sekisho.domain.person import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

# An entry names a kind of person, which the bank's own people have none of: here it is always the same.
_KIND = Kind.USER
_LABEL = "staff"
_PAGE = 500


@dataclass(frozen=True, slots=True)
class StaffSigned:
    """A certificate for the console: whose, its bytes, when it was signed and when it ends or ended."""

    staff_id: str
    serial: int
    der: bytes
    signed_at: datetime
    not_after: datetime
    ended_at: datetime | None = None


class StaffJournal:
    """The journal in the folder of the staff's CA. `passphrase` opens the keys there, where they are encrypted.

    Raises `JournalBroken`, `JournalInUse` and `JournalNotWritten`.
    """

    def __init__(self, folder: Path, passphrase: Callable[[], bytes | None]) -> None:
        self._folder = folder
        self._passphrase = passphrase

    @property
    def here(self) -> bool:
        """Whether the staff's CA is on this machine."""
        return (self._folder / "ca.key.pem").exists()

    @property
    def begun(self) -> bool:
        """Whether there is a journal already: an installation from before has none."""
        return (self._folder / "journal" / "00000001.journal").exists()

    def add(self, signed: Sequence[StaffSigned]) -> None:
        """Write certificates down and return once the disk has them, with what of them ended; twice is once."""
        drafts = [
            Draft(
                _KIND,
                one.serial,
                f"{_LABEL}/{one.staff_id}",
                hashlib.sha256(one.der).digest(),
                one.der,
                one.signed_at.replace(microsecond=0),
                one.not_after,
            )
            for one in signed
        ]
        with self._opened() as journal:
            for outcome in journal.add(drafts):
                if isinstance(outcome, Exception):
                    raise outcome
            journal.note_ended(_endings([(one.serial, one.ended_at) for one in signed]))

    def note_ended(self, ended: Sequence[tuple[int, datetime]]) -> None:
        """Write down which serial numbers ended and when, what is known already excepted."""
        with self._opened() as journal:
            journal.note_ended(_endings(ended))

    def records(self) -> list[StaffSigned]:
        """Return everything that was signed, and what of it ended."""
        found = []
        with self._opened() as journal:
            after = None
            while page := journal.certified(after, _PAGE):
                for one in page:
                    known, ended = journal.read(one), journal.ended(one.kind, one.serial)
                    staff_id = known.contract.removeprefix(f"{_LABEL}/")
                    ended_at = None if ended is None else ended[0]
                    found.append(StaffSigned(staff_id, one.serial, known.der, one.signed_at, one.not_after, ended_at))
                after = page[-1].kind, page[-1].serial
        return found

    def verify(self) -> None:
        """Read all of it."""
        if self.begun:
            with self._opened() as journal:
                journal.verify()

    @contextmanager
    def _opened(self) -> Iterator[Journal]:
        try:
            key = keys.journal_key(self._folder, self._passphrase())
        except (OSError, ValueError) as unusable:
            raise JournalBroken(f"the key of the journal in {self._folder} cannot be used: {unusable}") from unusable
        journal = Journal(self._folder / "journal", key)
        try:
            yield journal
        finally:
            journal.close()


def _endings(ended: Sequence[tuple[int, datetime | None]]) -> list[Ended]:
    # Why a staff certificate ended is told by the audit row alone.
    return [Ended(_KIND, serial, at, Reason.UNSPECIFIED) for serial, at in ended if at is not None]
