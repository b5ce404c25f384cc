"""Which certificates the next handshake is refused for, so that the browser forgets its choice.

Chromium remembers which certificate a person chose for a host until a
handshake with that certificate is refused; nothing else makes it forget.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_REMEMBERED_S = 30.0
_MOST = 10_000


class ChoiceBook:
    """Certificates by fingerprint (SHA-256) that one handshake is to be refused for, each for half a minute.

    Used from the sites' threads and from within handshakes.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[bytes, float] = {}
        self._lock = threading.Lock()
        self._open: dict[bytes, set[Callable[[], None]]] = {}

    def mark(self, fingerprint: bytes) -> None:
        """Refuse the next handshake with this certificate, and let its open connections end after their answer.

        A connection that stays open would be used again, and no handshake met.
        """
        with self._lock:
            if len(self._until) >= _MOST:
                self._drop_old()
            if len(self._until) < _MOST:
                self._until[fingerprint] = self._clock() + _REMEMBERED_S
            ends = list(self._open.get(fingerprint, ()))
        for end in ends:
            end()

    def take(self, fingerprint: bytes) -> bool:
        """Tell whether this handshake is the one to be refused; the next is not."""
        with self._lock:
            until = self._until.pop(fingerprint, None)
        return until is not None and self._clock() < until

    def opened(self, fingerprint: bytes, end: Callable[[], None]) -> None:
        """Remember an open connection and what ends it."""
        with self._lock:
            self._open.setdefault(fingerprint, set()).add(end)

    def closed(self, fingerprint: bytes, end: Callable[[], None]) -> None:
        """Forget a connection."""
        with self._lock:
            ends = self._open.get(fingerprint)
            if ends is not None:
                ends.discard(end)
                if not ends:
                    del self._open[fingerprint]

    def _drop_old(self) -> None:
        now = self._clock()
        self._until = {fingerprint: until for fingerprint, until in self._until.items() if now < until}
