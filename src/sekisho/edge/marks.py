"""Marks on certificates that all processes of a machine see at once."""

from __future__ import annotations

import mmap
import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SLOTS = 4096
_SLOT = struct.Struct("=32sd")
_EMPTY = bytes(_SLOT.size)


class Marks:
    """Certificates by SHA-256, each with the moment until which its mark stands.

    A table in memory that processes share through a file; without one it is
    this process's own. No locks: each certificate has one place, and where
    two fall together, the later mark replaces the earlier. What is lost then
    is one press of a button. Moments are of CLOCK_MONOTONIC, which is the
    machine's.
    """

    def __init__(self, file: Path | None = None) -> None:
        size = _SLOTS * _SLOT.size
        if file is None:
            self._table = mmap.mmap(-1, size)
            return
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(descriptor, size)
            self._table = mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)

    def set(self, fingerprint: bytes, until: float) -> None:
        """Mark a certificate until a moment."""
        self._table[self._place(fingerprint)] = _SLOT.pack(fingerprint, until)

    def stands(self, fingerprint: bytes, now: float) -> bool:
        """Tell whether a certificate is marked."""
        marked, until = _SLOT.unpack(self._table[self._place(fingerprint)])
        return bool(marked == fingerprint and now < until)

    def take(self, fingerprint: bytes, now: float) -> bool:
        """Tell whether a certificate is marked, and take its mark away."""
        stands = self.stands(fingerprint, now)
        if self._table[self._place(fingerprint)][:32] == fingerprint:
            self._table[self._place(fingerprint)] = _EMPTY
        return stands

    @staticmethod
    def _place(fingerprint: bytes) -> slice:
        start = int.from_bytes(fingerprint[:4]) % _SLOTS * _SLOT.size
        return slice(start, start + _SLOT.size)
