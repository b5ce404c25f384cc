"""The files that the journal grows in, one after another, held by one process and flushed at each write."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from sekisho.ca import blocks
from sekisho.ca.blocks import JournalBroken, Torn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sekisho.ca.journal_index import Upto

log = logging.getLogger("sekisho.ca")
_OFFSET_BITS = 32
_HOLD_S = 5.0


class JournalInUse(Exception):  # noqa: N818 - names what happened
    """Another process writes this journal."""


class JournalNotWritten(Exception):  # noqa: N818 - names what happened
    """The disk does not take what is to be written down; nothing of it may be handed out."""


def place_of(segment: int, octet: int) -> int:
    """Return where an entry begins as one number: the segment above, the octet in the lower 32 bits."""
    return segment << _OFFSET_BITS | octet


class Segments:
    """`00000001.journal` and what follows it in a folder, held for this process alone (`JournalInUse`).

    Whoever uses it sees to it that one thread at a time writes.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._held = _hold(folder)
        self._files: dict[int, int] = {}
        self._broken = False

    @property
    def broken(self) -> bool:
        """Whether the disk failed in a way after which nobody knows what it has: only a new start tells."""
        return self._broken

    def close(self) -> None:
        """Close the files and let the folder go."""
        for file in (*self._files.values(), self._held):
            os.close(file)
        self._files.clear()

    def last(self) -> int:
        """Return the number of the last segment. Raises `JournalBroken` where one before it is missing."""
        there = sorted(int(path.stem) for path in self._folder.glob("*.journal"))
        if there != list(range(1, len(there) + 1)):
            raise JournalBroken(f"{self._folder}: a part of the journal is missing: there are {there}")
        return len(there) or 1

    def check_end(self, upto: Upto) -> None:
        """Raise `JournalBroken` unless the journal goes at least that far, with that digest there."""
        path = self._path(upto.segment)
        size = path.stat().st_size if path.exists() else 0
        if self.last() < upto.segment or size < upto.octet:
            raise JournalBroken(f"{self._folder}: the journal is shorter than what was acknowledged of it")
        length = len(upto.digest)
        if os.pread(self._file(upto.segment), length, upto.octet - length) != upto.digest:
            raise JournalBroken(f"{path.name}: the journal is another than the one that the index knows")

    def read(self, upto: Upto, *, cut: bool = False) -> Iterator[tuple[list[tuple[int, bytes]], Upto]]:
        """Yield the entries of each block from there on, with their places, and how far that is.

        With `cut`, a write at the very end that was never finished is cut off;
        otherwise, and anywhere else, it is `JournalBroken`.
        """
        last = self.last()
        while upto.segment <= last:
            name = self._path(upto.segment).name
            file = self._file(upto.segment)
            for block in blocks.read_blocks(file, name, upto.octet, upto.number, upto.digest):
                if isinstance(block, Torn):
                    if upto.segment < last or not cut:
                        raise JournalBroken(f"{name} ends in the middle of a block")
                    log.warning("%s: cut %d octets of a write that was never finished", name, block.octets)
                    os.ftruncate(file, block.offset)
                    os.fsync(file)
                    break
                upto = replace(upto, octet=block.end, number=block.number + 1, digest=block.digest)
                yield [(place_of(upto.segment, octet), data) for octet, data in block.entries], upto
            upto = replace(upto, segment=upto.segment + 1, octet=0)

    def read_entry(self, place: int) -> bytes:
        """Return the entry that begins at a place. Raises `JournalBroken`."""
        return blocks.read_entry(self._file(place >> _OFFSET_BITS), place & ((1 << _OFFSET_BITS) - 1))

    def prepare(self, segment: int) -> None:
        """Have a segment that may be new ready to be written."""
        self._file(segment, new=True)

    def write(self, segment: int, octet: int, data: bytes) -> None:
        """Write at the end and return once the disk has it. Raises `JournalNotWritten`: then nothing is there."""
        if self._broken:
            raise JournalNotWritten("the disk failed before")
        file = self._file(segment)
        try:
            written = 0
            while written < len(data):
                written += os.pwrite(file, memoryview(data)[written:], octet + written)
        except OSError as full:
            # Nobody may find half a block before one that is whole.
            self._broken = True
            os.ftruncate(file, octet)
            os.fsync(file)
            self._broken = False
            raise JournalNotWritten(full.strerror) from full
        try:
            os.fdatasync(file)
        except OSError as failed:
            # What the disk has now, nobody knows, and asking again would not tell.
            self._broken = True
            raise JournalNotWritten(failed.strerror) from failed

    def _path(self, segment: int) -> Path:
        return self._folder / f"{segment:08d}.journal"

    def _file(self, segment: int, *, new: bool = False) -> int:
        """Return a segment, open. It is made where it is the first, or `new`."""
        file = self._files.get(segment)
        if file is None:
            make = os.O_CREAT if new or segment == 1 else 0
            file = os.open(self._path(segment), os.O_RDWR | os.O_CLOEXEC | make, 0o600)
            self._files[segment] = file
            if make:
                flush_folder(self._folder)
        return file


def _hold(folder: Path) -> int:
    """Hold the folder; whoever held it may be about to end, and is waited for a little."""
    file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + _HOLD_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                os.close(file)
                raise JournalInUse(f"{folder} is written by another process") from None
            time.sleep(0.05)
        else:
            return file


def flush_folder(folder: Path) -> None:
    """Have the disk know which files are in a folder."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
