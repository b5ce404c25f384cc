"""What goes over the CA's socket: questions and answers, one after the other, for as long as the connection lasts.

A message is a length of 4 octets and so many octets. A question is one
octet that says what is asked and its parts; an answer is one part for each
thing that was asked. A part is a length of 4 octets and so many octets.
Numbers are big-endian. Nothing is ever unpickled.
"""

from __future__ import annotations

import struct
import time
from datetime import UTC, datetime
from enum import IntEnum
from typing import TYPE_CHECKING

from sekisho.domain.issuing_ca import IssuingCa
from sekisho.domain.person import Kind
from sekisho.pki.profile import Order

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Sequence

LONGEST_MESSAGE = 256 * 1024 * 1024
MOST_ORDERS = 256
_LENGTH = struct.Struct(">I")
_CHUNK = 1 << 18
_KINDS = list(Kind)
# issuing CA, octets of the common name, shard, not before, not after, serial; the name and the key follow
_ORDER = struct.Struct(">BBHqq16s")
NO_SHARD = 0xFFFF


class Ask(IntEnum):
    """What a question asks for."""

    SIGN = 1
    CRL = 2
    OCSP = 3
    RECORDS = 20
    RECORD = 21
    LATEST = 22
    VERIFY = 23
    ENDINGS = 24
    ERASE = 25
    ENDED = 26


class Broken(Exception):  # noqa: N818 - names what was found
    """A message is none of these. The connection is of no use any more."""


def question(ask: Ask, parts: Iterable[bytes]) -> bytes:
    """Write a question."""
    return bytes([ask]) + joined(parts)


def read_question(message: bytes) -> tuple[Ask, list[bytes]]:
    """Read a question. Raises `Broken`."""
    try:
        return Ask(message[0]), parts(message, 1)
    except (IndexError, ValueError) as unknown:
        raise Broken("an unknown question") from unknown


# In the place of a certificate, which begins with another octet: this order is neither signed nor refused.
WAITS = b"w"


def answer(results: Sequence[bytes | None]) -> bytes:
    """Write an answer: for each thing asked its bytes, which are never none, or None where that one is refused."""
    return joined(result or b"" for result in results)


def read_answer(message: bytes, count: int) -> list[bytes | None]:
    """Read the answer to a question about `count` things. Raises `Broken`."""
    results: list[bytes | None] = [part or None for part in parts(message, 0)]
    if len(results) != count:
        raise Broken("an answer to another question")
    return results


def ca_octet(kind: Kind, generation: int) -> int:
    """Write an issuing CA. What the first generation is written as never changes: the journal has digests of it."""
    return _KINDS.index(kind) + len(_KINDS) * (generation - 1)


def ca_of(octet: int) -> IssuingCa:
    """Read an issuing CA; whether there is one is for the signer to say."""
    return IssuingCa(_KINDS[octet % len(_KINDS)], octet // len(_KINDS) + 1)


def order_part(order: Order) -> bytes:
    """Write an order. Raises ValueError, OverflowError or struct.error where it cannot be one."""
    name = order.common_name.encode()
    if len(name) > 255:  # noqa: PLR2004 - what one octet can say
        raise ValueError("a common name longer than any profile allows")
    head = _ORDER.pack(
        ca_octet(order.kind, order.generation),
        len(name),
        NO_SHARD if order.shard is None else order.shard,
        seconds(order.not_before),
        seconds(order.not_after),
        order.serial.to_bytes(16),
    )
    return head + name + order.spki


def read_order(part: bytes) -> Order:
    """Read an order. Raises ValueError where it is none."""
    try:
        octet, length, shard, not_before, not_after, serial = _ORDER.unpack_from(part)
        ca = ca_of(octet)
        names_end = _ORDER.size + length
        return Order(
            kind=ca.kind,
            common_name=part[_ORDER.size : names_end].decode(),
            serial=int.from_bytes(serial),
            spki=part[names_end:],
            not_before=moment(not_before),
            not_after=moment(not_after),
            shard=None if shard == NO_SHARD else shard,
            generation=ca.generation,
        )
    except (struct.error, IndexError, OverflowError, OSError) as wrong:
        raise ValueError("not an order") from wrong


def send(connection: socket.socket, message: bytes, deadline_s: float) -> None:
    """Send a message whole. Raises OSError where it cannot, TimeoutError (which is one) where it takes too long."""
    connection.settimeout(deadline_s)
    connection.sendall(_LENGTH.pack(len(message)) + message)


def receive(connection: socket.socket, deadline_s: float, *, patiently: bool = False) -> bytes:
    """Return the next message, which has to be there whole within `deadline_s`.

    Patiently: its first octet may take for ever. Raises EOFError where the
    other end has gone, TimeoutError, OSError, and `Broken`.
    """
    connection.settimeout(None if patiently else deadline_s)
    until = None if patiently else time.monotonic() + deadline_s
    data = bytearray(connection.recv(_CHUNK))
    until = until or time.monotonic() + deadline_s
    missing = _missing(data)
    while missing:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        more = connection.recv(min(missing, _CHUNK))
        if not more:
            raise EOFError
        data += more
        missing = _missing(data)
    return bytes(memoryview(data)[_LENGTH.size :])


def _missing(data: bytearray) -> int:
    """Return how many octets are still to come of the message that `data` begins, as far as can be told."""
    if not data:
        raise EOFError
    if len(data) < _LENGTH.size:
        return _LENGTH.size - len(data)
    (length,) = _LENGTH.unpack_from(data)
    missing = _LENGTH.size + int(length) - len(data)
    if length > LONGEST_MESSAGE or missing < 0:
        raise Broken("a message longer than any")
    return missing


def joined(parts: Iterable[bytes]) -> bytes:
    """Write parts one after the other."""
    pieces: list[bytes] = []
    for part in parts:
        pieces += (_LENGTH.pack(len(part)), part)
    return b"".join(pieces)


def parts(message: bytes, at: int) -> list[bytes]:
    """Read the parts from an octet on. Raises `Broken`."""
    found = []
    try:
        while at < len(message):
            (length,) = _LENGTH.unpack_from(message, at)
            at += _LENGTH.size
            found.append(message[at : at + length])
            at += length
    except struct.error as short:
        raise Broken("half a part") from short
    if at != len(message):
        raise Broken("half a part")
    return found


def seconds(at: datetime) -> int:
    """Write a date. Raises ValueError where it has fractions of a second."""
    if at.microsecond:
        raise ValueError("a date in fractions of a second")
    return int(at.timestamp())


def moment(at: int) -> datetime:
    """Read a date."""
    return datetime.fromtimestamp(at, UTC)
