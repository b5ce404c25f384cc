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
    from sekisho.domain.person import Kind
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
    ) -> bytes:
        """Return a DER revocation list with these entries (DER, one after the other)."""


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


class Mail(Protocol):
    """Whoever takes mails."""

    def send(self, message: EmailMessage, key: str) -> None:
        """Hand a mail over; the same `key` again is the same mail and changes nothing."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Database, CA, mail, vault, clock and randomness.

    `now()` is read once, in the first line of a use case; below it time is a
    plain value. `entropy(n)` returns n random bytes. `cas` holds one CA for
    each bank code, and `records` what it wrote down. `compromised` are keys that nobody gets a certificate for.
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
    compromised: CompromisedKeys = field(default_factory=CompromisedKeys, repr=False)
    crowd: Crowd = field(init=False, default_factory=Crowd, compare=False, repr=False)
