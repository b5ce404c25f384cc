"""A deadline on what waits for a database server.

A server that is stopped (or whose disk hangs) keeps its connections open and
answers nothing: its own timeouts do not run, and the client library waits for
ever. Here one thread looks at what is under way and hangs up for whoever has
waited too long, which ends the wait with the error of a lost connection.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LOOK_S = 0.25


class Deadlines:
    """Hangs up on connections that are overdue. `clock` returns seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._until: dict[int, float] = {}
        self._wanted = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    @contextmanager
    def on(self, descriptor: int, seconds: float) -> Iterator[None]:
        """Hang up on the socket `descriptor` if the block lasts longer than `seconds`."""
        with self._lock:
            self._until[descriptor] = self._clock() + seconds
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, daemon=True, name="store-deadlines")
                self._thread.start()
        self._wanted.set()
        try:
            yield
        finally:
            with self._lock:
                self._until.pop(descriptor, None)

    def close(self) -> None:
        """End the watch."""
        self._closed = True
        self._wanted.set()

    def look(self) -> None:
        """Hang up on what is overdue now."""
        with self._lock:
            now = self._clock()
            for descriptor in [one for one, until in self._until.items() if until <= now]:
                del self._until[descriptor]
                # While the lock is held the block has not ended, so the number still is that connection's.
                with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connection:
                    connection.shutdown(socket.SHUT_RDWR)
            if not self._until:
                self._wanted.clear()

    def _watch(self) -> None:
        while not self._closed:
            self._wanted.wait()
            time.sleep(_LOOK_S)
            self.look()
