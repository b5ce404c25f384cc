"""A key for each contract, so that what the journal keeps of one contract can be made unreadable for good.

The file is a row of slots of 40 octets: a random AES-256 key, wrapped under
the journal's key (RFC 3394), or zeros where it was destroyed. Slots are made
and flushed ahead of need, so that an issuance waits for no second flush.
Which contract has which slot stands in the journal alone.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from sekisho.ca.blocks import JournalBroken

if TYPE_CHECKING:
    from pathlib import Path

_SLOT = 40
_AHEAD = 512
_CACHED = 4096


class ContractKeys:
    """The slots. One thread at a time."""

    def __init__(self, path: Path, wrapping_key: bytes) -> None:
        self._path = path
        self._wrapping_key = wrapping_key
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # What a crash left of a slot was never used.
        self._count = os.fstat(self._file).st_size // _SLOT
        self._cached: OrderedDict[int, AESGCM] = OrderedDict()

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def provide(self, slot: int) -> None:
        """See to it that the slot is there, flushed."""
        if slot < self._count:
            return
        new = slot - self._count + _AHEAD
        data = b"".join(aes_key_wrap(self._wrapping_key, os.urandom(32)) for _ in range(new))
        if os.pwrite(self._file, data, self._count * _SLOT) != len(data):
            raise OSError(28, "no room for more keys", str(self._path))
        os.fsync(self._file)
        self._count += new

    def key(self, slot: int) -> AESGCM | None:
        """Return the key in a slot, or None where it was destroyed. Raises `JournalBroken` where it cannot be read."""
        if (known := self._cached.get(slot)) is not None:
            self._cached.move_to_end(slot)
            return known
        wrapped = os.pread(self._file, _SLOT, slot * _SLOT)
        if len(wrapped) == _SLOT and not any(wrapped):
            return None
        try:
            key = AESGCM(aes_key_unwrap(self._wrapping_key, wrapped))
        except (InvalidUnwrap, ValueError) as wrong:
            raise JournalBroken(f"{self._path}: slot {slot} cannot be opened with the journal's key") from wrong
        self._cached[slot] = key
        if len(self._cached) > _CACHED:
            self._cached.popitem(last=False)
        return key

    def destroy(self, slot: int) -> None:
        """Overwrite a slot for good."""
        self._cached.pop(slot, None)
        os.pwrite(self._file, bytes(_SLOT), slot * _SLOT)
        os.fsync(self._file)
