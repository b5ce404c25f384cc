"""What the use cases need of the world, built once in wiring."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from sekisho.gatherer import Crowd
from sekisho.pki.compromised_keys import CompromisedKeys

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime
    from email.message import EmailMessage

    from sqlalchemy import Connection

    from sekisho.ca.record import EndedRecord, Latest, Recorded
    from sekisho.ca.staff_journal import StaffSigned
    from sekisho.domain.person import Kind
    from sekisho.pki.ocsp import Answer
    from sekisho.pki.profile import Order
    from sekisho.vault.pins import PinHasher
    from sekisho.vault.seal import CardSeal

    Item = TypeVar("Item")
    Outcome = TypeVar("Outcome")


class Db(Protocol):
    """The database's entries: `sekisho.store.database` says what each promises."""

    def read(self) -> AbstractContextManager[Connection]:
        """Open a transaction that only reads."""

    def write(self, work: Callable[[Connection], Outcome], /) -> Outcome:
        """Run `work` in a transaction of its own."""

    def write_all(
        self, work: Callable[[Connection, Sequence[Item]], Sequence[Outcome | Exception]], items: Sequence[Item], /
    ) -> list[Outcome | Exception]:
        """Have `work` done for many items in one transaction."""

    def holds_lead(self) -> bool:
        """Tell whether this process does the work that one alone should do."""


class Ca(Protocol):
    """Whoever holds the keys."""

    def sign_all(self, orders: Sequence[Order]) -> list[bytes | Exception]:
        """Return the DER certificate for each order; twice the same order, twice the same bytes.

        An order that the CA refuses has the reason in its place.
        """

    def sign_crl(
        self,
        kind: Kind,
        shard: int | None,
        entries: bytes,
        *,
        number: int,
        this_update: datetime,
        next_update: datetime,
        generation: int = 1,
    ) -> bytes:
        """Return a DER revocation list with these entries (DER, one after the other)."""

    def answer_all(self, asked: Sequence[Answer]) -> list[bytes | Exception]:
        """Return each answer about a certificate as a signed OCSP response (DER), or why that one is refused."""


class MailServerAway(Exception):  # noqa: N818 - names what is the case
    """No mail can be handed over for now; the text says why, and holds no secret."""


class MailNotTaken(Exception):  # noqa: N818 - names what happened
    """One mail was not taken, or nobody can tell; `said` is what was answered.

    `final` means that the same mail will not be taken later either, and
    `line_lost` that no other one can be handed over on this line.
    """

    def __init__(self, said: str, *, final: bool = False, line_lost: bool = False) -> None:
        super().__init__(said)
        self.said = said
        self.final = final
        self.line_lost = line_lost


class MailLine(Protocol):
    """An open line to whoever takes mails."""

    def send(self, message: EmailMessage, key: str) -> str:
        """Hand a mail over and return what was answered. `key` names the mail: the same again is the same mail.

        Raises `MailNotTaken`.
        """


class CaRecord(Protocol):
    """What the CA wrote down itself of what it signed."""

    def records(self, after: tuple[Kind, int] | None) -> list[Recorded]:
        """Return certificates in the order of kind and serial, some from after one on."""

    def record_of(self, kind: Kind, serial: int) -> Recorded | None:
        """Return one, or None where the CA never signed it."""

    def endings(self, after: tuple[Kind, int] | None) -> list[EndedRecord]:
        """Return what is known to have ended, in the same order, some from after one on."""

    def latest(self) -> list[Latest]:
        """Return what was noted last."""

    def note_ended(self, ended: Sequence[EndedRecord]) -> None:
        """Write down what has ended for good; the same twice is once."""

    def note_ended_now(self, ended: Sequence[EndedRecord]) -> bool:
        """Do so where that takes no time to speak of; tell whether it was done."""

    def erase(self, bank: str, contract_id: str) -> bool:
        """Make unreadable for good what is on record of a contract; False where nothing is. Raises `StillKept`."""


class StaffRecord(Protocol):
    """What the staff's CA wrote down of what it signed. Raises `JournalBroken` and the other errors of a journal."""

    @property
    def here(self) -> bool:
        """Whether that CA is on this machine."""

    @property
    def begun(self) -> bool:
        """Whether anything was written down yet."""

    def add(self, signed: Sequence[StaffSigned]) -> None:
        """Write certificates down, with what of them ended."""

    def note_ended(self, ended: Sequence[tuple[int, datetime]]) -> None:
        """Write down which serial numbers ended, and when."""

    def records(self) -> list[StaffSigned]:
        """Return all of it."""


class Mail(Protocol):
    """Whoever takes mails; `sender` is the address that they come from."""

    @property
    def sender(self) -> str:
        """The address that mails come from."""

    def line(self) -> AbstractContextManager[MailLine]:
        """Open a line for a few mails. Raises `MailServerAway`."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Database, CA, mail, vault, clock and randomness.

    `now()` is read once, in the first line of a use case; below it time is a
    plain value. `entropy(n)` returns n random bytes. `cas` holds one CA for
    each bank code, `records` what it wrote down, and `staff_records` what the
    staff's CA did. `compromised` are keys that nobody gets a certificate for.
    `crowd` serves callers who come at once together.
    """

    db: Db
    cas: Mapping[str, Ca]
    mail: Mail
    pins: PinHasher
    seal: CardSeal
    now: Callable[[], datetime]
    entropy: Callable[[int], bytes]
    records: Mapping[str, CaRecord] = field(default_factory=dict, repr=False)
    staff_records: Mapping[str, StaffRecord] = field(default_factory=dict, repr=False)
    compromised: CompromisedKeys = field(default_factory=CompromisedKeys, repr=False)
    crowd: Crowd = field(init=False, default_factory=Crowd, compare=False, repr=False)
