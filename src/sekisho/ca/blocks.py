"""The journal's file format: blocks, each chained to the one before, each flushed as a whole.

    block   magic (8)  number (8)  octets of body (4)  digest of the block before (32)  CRC-32 of these (4)
            body: entries, each a length (4) and so many octets
            digest (32): SHA-256 of all the above, and so of everything before it

Numbers are big-endian. A block is written and flushed before anything in it
is answered, and only one is under way: whatever a crash leaves unfinished is
the last block of the last file, and nobody was told of it.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAGIC = b"SKSJRNL1"
START = bytes(32)  # what the first block of all is chained to
_HEAD = struct.Struct(">8sQI32s")
_CRC = struct.Struct(">I")
_LENGTH = struct.Struct(">I")
_HEAD_SIZE = _HEAD.size + _CRC.size
_DIGEST_SIZE = 32
_LONGEST_BODY = 1 << 28
_SECTOR = 512
_CHUNK = 1 << 20


class JournalBroken(Exception):  # noqa: N818 - names what was found
    """The journal does not hold. The text says where, for whoever has to look after it."""


@dataclass(frozen=True, slots=True)
class Torn:
    """From this offset on a block was never finished; nobody was told of what is in it."""

    offset: int
    octets: int


@dataclass(frozen=True, slots=True)
class Block:
    """A block that holds: where it begins and ends in its file, and where each entry does."""

    number: int
    end: int
    digest: bytes
    entries: list[tuple[int, bytes]]


def write_block(number: int, previous: bytes, entries: Sequence[bytes]) -> tuple[bytes, bytes, list[int]]:
    """Return a block, its digest, and at which of its octets each entry begins."""
    body = bytearray()
    starts = []
    for entry in entries:
        starts.append(_HEAD_SIZE + len(body))
        body += _LENGTH.pack(len(entry)) + entry
    if len(body) > _LONGEST_BODY:
        raise ValueError("more than goes into one block")
    head = _HEAD.pack(MAGIC, number, len(body), previous)
    data = head + _CRC.pack(zlib.crc32(head)) + bytes(body)
    digest = hashlib.sha256(data).digest()
    return data + digest, digest, starts


def read_entry(file: int, offset: int) -> bytes:
    """Return the entry that begins there. Raises `JournalBroken` where none can."""
    head = os.pread(file, _LENGTH.size, offset)
    if len(head) == _LENGTH.size:
        (length,) = _LENGTH.unpack(head)
        entry = os.pread(file, length, offset + _LENGTH.size) if length <= _LONGEST_BODY else b""
        if len(entry) == length:
            return entry
    raise JournalBroken(f"no entry at octet {offset}")


def read_blocks(file: int, name: str, offset: int, number: int, previous: bytes) -> Iterator[Block | Torn]:
    """Yield the blocks from `offset` on, the first of which is to have this number and predecessor.

    What a write that was cut short left is yielded as `Torn`, and ends it.
    Raises `JournalBroken` where anything else does not hold.
    """
    size = os.fstat(file).st_size
    while offset < size:
        block = _read_block(file, name, offset, size, number, previous)
        yield block
        if isinstance(block, Torn):
            return
        offset, number, previous = block.end, number + 1, block.digest


def _read_block(file: int, name: str, offset: int, size: int, number: int, previous: bytes) -> Block | Torn:
    head = os.pread(file, _HEAD_SIZE, offset)
    if len(head) < _HEAD_SIZE or not _head_holds(head):
        return _torn(file, name, offset, size, short=len(head) < _HEAD_SIZE)
    _magic, its_number, length, its_previous = _HEAD.unpack_from(head)
    if (its_number, its_previous) != (number, previous):
        raise JournalBroken(f"{name}: the block at octet {offset} does not follow the one before it")
    data = os.pread(file, _HEAD_SIZE + length + _DIGEST_SIZE, offset)
    end = offset + _HEAD_SIZE + length + _DIGEST_SIZE
    digest = hashlib.sha256(memoryview(data)[:-_DIGEST_SIZE]).digest()
    if len(data) < end - offset or data[-_DIGEST_SIZE:] != digest:
        return _torn(file, name, offset, size, short=end > size, end=end)
    return Block(number, end, digest, list(_entries(data, offset, name)))


def _head_holds(head: bytes) -> bool:
    (crc,) = _CRC.unpack_from(head, _HEAD.size)
    magic, _number, length, _previous = _HEAD.unpack_from(head)
    return bool(magic == MAGIC and crc == zlib.crc32(head[: _HEAD.size]) and length <= _LONGEST_BODY)


def _entries(data: bytes, offset: int, name: str) -> Iterator[tuple[int, bytes]]:
    at, end = _HEAD_SIZE, len(data) - _DIGEST_SIZE
    while at < end:
        length = int.from_bytes(data[at : at + _LENGTH.size])
        entry = data[at + _LENGTH.size : at + _LENGTH.size + length]
        if at + _LENGTH.size + length > end:
            raise JournalBroken(f"{name}: half an entry in the block at octet {offset}")
        yield offset + at, entry
        at += _LENGTH.size + length


def _torn(file: int, name: str, offset: int, size: int, *, short: bool, end: int | None = None) -> Torn:
    """Tell an unfinished write from damage. Raises `JournalBroken` for the latter.

    A killed process leaves the beginning of a block and nothing behind it. A
    machine that lost power may also leave whole sectors that were never
    written, which read as zeros; what was sealed never has so many in a row.
    """
    if (end is not None and end < size) or _another_begins(file, offset + 1, size):
        raise JournalBroken(f"{name} is damaged at octet {offset}, with more behind it")
    if not short and not _has_unwritten_sector(file, offset, size):
        raise JournalBroken(f"{name} is damaged at octet {offset}, in a block that was written whole")
    return Torn(offset, size - offset)


def _another_begins(file: int, offset: int, size: int) -> bool:
    """Tell whether a block begins anywhere from `offset` on."""
    while offset < size:
        data = os.pread(file, _CHUNK + _HEAD_SIZE, offset)
        at = data.find(MAGIC)
        while at != -1:
            head = os.pread(file, _HEAD_SIZE, offset + at)
            if len(head) == _HEAD_SIZE and _head_holds(head):
                return True
            at = data.find(MAGIC, at + 1)
        offset += _CHUNK
    return False


def _has_unwritten_sector(file: int, offset: int, size: int) -> bool:
    """Tell whether a sector from `offset` on, or the part of one that belongs there, is all zeros."""
    while offset < size:
        end = min((offset // _SECTOR + 1) * _SECTOR, size)
        part = os.pread(file, end - offset, offset)
        # A few octets at either end may be zeros by chance.
        if len(part) >= 16 and not any(part):  # noqa: PLR2004 - 2 to the power of -128
            return True
        offset = end
    return False
