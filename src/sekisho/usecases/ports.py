"""What the use cases need of the world, built once in wiring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime
    from email.message import EmailMessage

    from sqlalchemy import Connection

    from sekisho.domain.person import Kind
    from sekisho.pki.crl import Revoked
    from sekisho.pki.profile import Order
    from sekisho.vault.pins import PinHasher
    from sekisho.vault.seal import CardSeal


class Db(Protocol):
    """The database's two entries."""

    def write(self) -> AbstractContextManager[Connection]:
        """Open a transaction that writes."""

    def read(self) -> AbstractContextManager[Connection]:
        """Open a transaction that only reads."""


class Ca(Protocol):
    """Whoever holds the keys."""

    def sign(self, order: Order) -> bytes:
        """Return the DER certificate for an order; twice the same order, twice the same bytes."""

    def sign_crl(
        self, kind: Kind, entries: list[Revoked], *, number: int, this_update: datetime, next_update: datetime
    ) -> bytes:
        """Return a DER revocation list."""


class Mail(Protocol):
    """Whoever takes mails."""

    def send(self, message: EmailMessage, key: str) -> None:
        """Hand a mail over; the same `key` again is the same mail and changes nothing."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Database, CA, mail, vault, clock and randomness.

    `now()` is read once, in the first line of a use case; below it time is a
    plain value. `entropy(n)` returns n random bytes. `cas` holds one CA for
    each bank code.
    """

    db: Db
    cas: Mapping[str, Ca]
    mail: Mail
    pins: PinHasher
    seal: CardSeal
    now: Callable[[], datetime]
    entropy: Callable[[int], bytes]
