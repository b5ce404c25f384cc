"""How the rest of Sekisho asks the CA to sign."""

from __future__ import annotations

import logging
import os
import socket
import struct
import threading
import time
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from sekisho.ca import answers, lists, peer, record, wire
from sekisho.ca.blocks import JournalBroken
from sekisho.ca.wire import Ask
from sekisho.domain.errors import CaAway

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from sekisho.ca.record import EndedRecord, Latest, Recorded
    from sekisho.domain.person import Kind
    from sekisho.pki.ocsp import Answer
    from sekisho.pki.profile import Order

log = logging.getLogger("sekisho.ca")
Item = TypeVar("Item")
DEADLINE_S = 10.0
# Nobody waits for a list, and the first one after a start of the CA may name hundreds of thousands.
_LIST_DEADLINE_S = 60.0
# Whoever revokes waits for the journal so long at most, and in so long once.
_AT_ONCE_S, _SLOW_FOR_S = 0.3, 5.0


class CaRefused(Exception):  # noqa: N818 - names what happened
    """The CA would not sign: what was asked breaks its profile. A bug, never a visitor's mistake."""


class CaClient:
    """Asks the CA on connections that stay open. Many threads may use one client at once.

    Each question has a connection to itself while it lasts, so a long list
    makes no order wait; when it was answered the next question may have it.
    """

    def __init__(self, socket_file: Path, *, deadline_s: float = DEADLINE_S, owner: int | None = None) -> None:
        """`owner` is the user that the CA runs as, this process's own where nobody is named."""
        self._socket_file = socket_file
        self._deadline_s = deadline_s
        self._owner = os.getuid() if owner is None else owner
        self._idle: list[Line] = []
        self._lock = threading.Lock()
        self._slow_until = 0.0

    def sign_all(self, orders: Sequence[Order]) -> list[bytes | Exception]:
        """Return the DER certificate for each order, `CaRefused`, or `CaAway` for one that is to wait.

        Raises `CaAway` where no answer comes in time.
        """
        return self._ask_all(Ask.SIGN, orders, wire.order_part)

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
        """Return the DER revocation list. Raises `CaAway` where no answer comes in time, and `CaRefused`."""
        asked = lists.Asked(kind, shard, entries, number, this_update, next_update, generation)
        with self._line() as line:
            (signed,) = line.ask(Ask.CRL, [lists.part(asked)], deadline_s=max(self._deadline_s, _LIST_DEADLINE_S))
        if signed is None:
            raise CaRefused
        return signed

    def answer_all(self, asked: Sequence[Answer]) -> list[bytes | Exception]:
        """Return each answer about a certificate as DER, or `CaRefused`. Raises `CaAway` where none comes in time."""
        return self._ask_all(Ask.OCSP, asked, answers.part)

    def records(self, after: tuple[Kind, int] | None) -> list[Recorded]:
        """Return certificates of the journal in the order of kind and serial, some from after one on.

        Raises `CaAway`, and `JournalBroken` where the journal does not hold.
        """
        return record.read_rows(self._told(Ask.RECORDS, record.write_key(after)))

    def record_of(self, kind: Kind, serial: int) -> Recorded | None:
        """Return what the journal has of a certificate. Raises as `records`."""
        return next(iter(record.read_rows(self._told(Ask.RECORD, record.write_key((kind, serial))))), None)

    def endings(self, after: tuple[Kind, int] | None) -> list[EndedRecord]:
        """Return what the journal knows to have ended, in the same order. Raises as `records`."""
        return record.read_endings(self._told(Ask.ENDINGS, record.write_key(after)))

    def note_ended(self, ended: Sequence[EndedRecord]) -> None:
        """Have the journal note what has ended for good, and return once it has. Raises `CaAway`."""
        self._note_ended(ended, None)

    def note_ended_now(self, ended: Sequence[EndedRecord]) -> bool:
        """Do so if the CA answers at once, and tell whether it did; after it did not, nobody waits for a while."""
        if time.monotonic() < self._slow_until:
            return False
        try:
            self._note_ended(ended, _AT_ONCE_S)
        except (CaAway, CaRefused):
            self._slow_until = time.monotonic() + _SLOW_FOR_S
            return False
        return True

    def _note_ended(self, ended: Sequence[EndedRecord], deadline_s: float | None) -> None:
        rest = [record.write_ended(one) for one in ended]
        while rest:
            some, rest = rest[: wire.MOST_ORDERS], rest[wire.MOST_ORDERS :]
            with self._line() as line:
                if None in line.ask(Ask.ENDED, some, deadline_s=deadline_s):
                    raise CaRefused

    def latest(self) -> list[Latest]:
        """Return what the journal noted last. Raises as `records`."""
        return record.read_latest(self._told(Ask.LATEST, b"+"))

    def verify(self) -> None:
        """Have the whole journal read, which may take minutes. Raises as `records`."""
        self._told(Ask.VERIFY, b"+")

    def erase(self, bank: str, contract_id: str) -> bool:
        """Have the CA destroy what can read its journal of a contract; False where it has nothing of it.

        Raises `StillKept` while the CA's own retention rule keeps it, and as `records`.
        """
        return record.read_erasure(self._told(Ask.ERASE, record.write_contract(bank, contract_id)))

    def _told(self, ask: Ask, part: bytes) -> bytes:
        with self._line() as line:
            (told,) = line.ask(ask, [part])
        if told is None:
            raise JournalBroken("the CA's journal does not hold; its log says where")
        return told

    def close(self) -> None:
        """Close the connections that are idle. A client that is asked again opens them anew."""
        with self._lock:
            lines, self._idle = self._idle, []
        for line in lines:
            line.close()

    def _ask_all(self, ask: Ask, asked: Sequence[Item], part: Callable[[Item], bytes]) -> list[bytes | Exception]:
        """Ask about many things, as many in one question as go into it; one that cannot be written is refused alone."""
        outcomes: list[bytes | Exception] = []
        rest = iter(asked)
        while some := list(islice(rest, wire.MOST_ORDERS)):
            parts = [_written(one, part) for one in some]
            asked_now = [one for one in parts if one is not None]
            with self._line() as line:
                told = iter(line.ask(ask, asked_now) if asked_now else [])
            outcomes += (_outcome(None if one is None else next(told)) for one in parts)
        return outcomes

    @contextmanager
    def _line(self) -> Iterator[Line]:
        """Lend out the line that was used last, or a new one where all are in use."""
        with self._lock:
            line = self._idle.pop() if self._idle else Line(self._socket_file, self._deadline_s, self._owner)
        try:
            yield line
        finally:
            with self._lock:
                self._idle.append(line)


def _outcome(told: bytes | None) -> bytes | Exception:
    if told is None:
        return CaRefused()
    return CaAway() if told == wire.WAITS else told


def _written(item: Item, part: Callable[[Item], bytes]) -> bytes | None:
    """Write what is asked about, or None where it cannot even be written."""
    try:
        return part(item)
    except (ValueError, OverflowError, struct.error):
        return None


class Line:
    """One connection to the CA, for one question at a time.

    A question may be repeated: the CA gives the same bytes for the same
    order. So a connection that broke is made anew once and asked again, and
    nobody notices that the CA was started anew meanwhile.
    """

    def __init__(self, socket_file: Path, deadline_s: float, owner: int) -> None:
        self._address = str(socket_file)
        self._deadline_s = deadline_s
        self._owner = owner
        self._connection: socket.socket | None = None

    def ask(self, ask: Ask, parts: Sequence[bytes], *, deadline_s: float | None = None) -> list[bytes | None]:
        """Return what the CA answers to each part, None where it refuses that one. Raises `CaAway`."""
        message = wire.question(ask, parts)
        kept = self._connection is not None
        try:
            try:
                return self._exchange(message, len(parts), deadline_s or self._deadline_s)
            except TimeoutError:
                raise  # whoever waited for one deadline does not wait for another
            except (OSError, EOFError):
                if not kept:
                    raise
                self.close()
                return self._exchange(message, len(parts), deadline_s or self._deadline_s)
        except (OSError, EOFError, wire.Broken) as away:
            # What the CA may still answer would be taken for the answer to the next question.
            self.close()
            raise CaAway from away

    def close(self) -> None:
        """Close the connection where it is open."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(self, message: bytes, count: int, deadline_s: float) -> list[bytes | None]:
        if self._connection is None:
            self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._connection.settimeout(min(self._deadline_s, deadline_s))
            self._connection.connect(self._address)
            if (uid := peer.uid_of(self._connection)) != self._owner:
                log.error("%s is answered by user number %d, who is not the CA's", self._address, uid)
                raise PermissionError(13, "is not the CA's", self._address)
        wire.send(self._connection, message, deadline_s)
        return wire.read_answer(wire.receive(self._connection, deadline_s), count)
