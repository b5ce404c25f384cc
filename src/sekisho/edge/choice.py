"""Whose next handshake is refused, so that the browser forgets which certificate was chosen.

Chromium remembers the certificate that a person chose for a host until a
handshake with it is refused; nothing else makes it forget.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from sekisho.edge.marks import Marks

if TYPE_CHECKING:
    from collections.abc import Callable

_REMEMBERED_S = 10.0


class ChoiceBook:
    """One site's certificates, by SHA-256, of which one handshake is to be refused within ten seconds.

    Used from the threads of handlers and from within handshakes; with shared
    `marks`, from several processes. `clock` returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, marks: Marks | None = None) -> None:
        self._clock = clock
        self._marks = marks or Marks()
        self._open: dict[bytes, set[Callable[[], None]]] = {}
        self._lock = threading.Lock()

    def mark(self, fingerprint: bytes) -> None:
        """Refuse the next handshake with this certificate, and end its connections after what they are answering.

        A connection that stayed open would be used again, and no handshake
        met. Other processes end theirs when they are used (`is_marked`).
        """
        self._marks.set(fingerprint, self._clock() + _REMEMBERED_S)
        with self._lock:
            ends = list(self._open.get(fingerprint, ()))
        for end in ends:
            end()

    def is_marked(self, fingerprint: bytes) -> bool:
        """Tell whether the next handshake is to be refused: no connection from before is to be used any more."""
        return self._marks.stands(fingerprint, self._clock())

    def take(self, fingerprint: bytes) -> bool:
        """Tell whether this handshake is the one to be refused; the next is not."""
        with self._lock:
            return self._marks.take(fingerprint, self._clock())

    def opened(self, fingerprint: bytes, end: Callable[[], None]) -> None:
        """Note a connection and what ends it, from any thread."""
        with self._lock:
            self._open.setdefault(fingerprint, set()).add(end)

    def closed(self, fingerprint: bytes, end: Callable[[], None]) -> None:
        """Forget a connection."""
        with self._lock:
            ends = self._open.get(fingerprint, set())
            ends.discard(end)
            if not ends:
                self._open.pop(fingerprint, None)
