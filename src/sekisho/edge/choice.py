"""Whose next handshake is refused, so that the browser forgets which certificate was chosen.

Chromium remembers the certificate that a person chose for a host until a
handshake with it is refused; nothing else makes it forget.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_REMEMBERED_S = 10.0
_MOST = 10_000


class ChoiceBook:
    """One site's certificates, by SHA-256, of which one handshake is to be refused within ten seconds.

    Used from the threads of handlers and from within handshakes. `clock`
    returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[bytes, float] = {}  # in the order of marking, which is the order of ending
        self._open: dict[bytes, set[Callable[[], None]]] = {}
        self._lock = threading.Lock()

    def mark(self, fingerprint: bytes) -> None:
        """Refuse the next handshake with this certificate, and end its connections after what they are answering.

        A connection that stayed open would be used again, and no handshake met.
        """
        with self._lock:
            now = self._clock()
            self._until.pop(fingerprint, None)
            while self._until and (len(self._until) >= _MOST or self._until[next(iter(self._until))] <= now):
                del self._until[next(iter(self._until))]
            self._until[fingerprint] = now + _REMEMBERED_S
            ends = list(self._open.get(fingerprint, ()))
        for end in ends:
            end()

    def take(self, fingerprint: bytes) -> bool:
        """Tell whether this handshake is the one to be refused; the next is not."""
        with self._lock:
            until = self._until.pop(fingerprint, None)
            return until is not None and self._clock() < until

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
