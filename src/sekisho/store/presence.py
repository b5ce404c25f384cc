"""Whether the database is there, as far as this process has seen.

One line in the log when it goes and one when it is back, however many meet
it meanwhile. And whoever would only wait to find out what is known already
is told at once: while the database cannot be reached, one caller at a time
tries, so that no threads pile up behind it and every visitor has an answer.
"""

from __future__ import annotations

import logging
import threading
import time
from enum import StrEnum
from typing import TYPE_CHECKING

from sekisho.domain.errors import StoreAway

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("sekisho.store")
# After a try that failed, until the next.
_TRY_S = 1.0
# A try that was not heard of again; longer than any takes.
_LOST_TRY_S = 20.0
# For which nothing has failed before it counts as back: one that comes and goes does not fill the log.
_CALM_S = 3.0


class Entry(StrEnum):
    """The two ways in, which fail apart: a disk that is full can still be read."""

    READ = "read"
    WRITE = "write"


class Presence:
    """What was seen of a database last. `clock` returns seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failed_at: dict[Entry, float] = {}
        self._try_at: float | None = None

    def enter(self) -> None:
        """Let a caller try. Raises `StoreAway` while the database cannot be reached and another tries, or just has."""
        if self._try_at is None:
            return
        with self._lock:
            now = self._clock()
            if self._try_at is not None:
                if now < self._try_at:
                    raise StoreAway
                self._try_at = now + _LOST_TRY_S

    def failed(self, entry: Entry, line: str, *, unreachable: bool) -> None:
        """Note that a caller was turned away; `line` says why."""
        with self._lock:
            now = self._clock()
            if not self._failed_at:
                log.error("the database cannot be used: %s", line)
            self._failed_at[entry] = now
            # Who reached it, though in vain, keeps nobody else from trying.
            self._try_at = now + _TRY_S if unreachable else None

    def reached(self) -> None:
        """Note that a caller reached it and was turned away for want of room, of which nothing is told."""
        if self._try_at is not None:
            with self._lock:
                self._try_at = None

    def worked(self, entry: Entry) -> None:
        """Note that a caller was served."""
        if not self._failed_at:
            return
        with self._lock:
            self._try_at = None
            failed_at = self._failed_at.get(entry)
            if failed_at is None or self._clock() - failed_at < _CALM_S:
                return
            del self._failed_at[entry]
            if not self._failed_at:
                log.info("the database can be used again")
