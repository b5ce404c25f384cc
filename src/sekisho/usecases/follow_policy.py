"""Every process goes by the rules that are in force now, whoever changed them and wherever.

A thread looks twice a second whether something was decided: one row by its
key. So no request waits for that, and none sends a statement for it.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sekisho.domain.errors import StoreAway
from sekisho.domain.policy import as_installed
from sekisho.store import policies

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sekisho.domain.contract import Bank
    from sekisho.domain.policy_changes import Timeline
    from sekisho.usecases.ports import Ports

log = logging.getLogger("sekisho")
LOOK_S = 0.5
# Nobody who ends waits for a look at a database that hangs.
_LEAVE_S = 2.0


@dataclass(frozen=True, slots=True)
class _Standing:
    """The bank as it is from one moment until another, and what follows then."""

    bank: Bank
    since: datetime
    until: datetime
    version: int
    timeline: Timeline


class BankInForce:
    """A bank, with the policy that is in force whenever somebody asks. `bank` is what the start found.

    What was decided for later comes into force at its moment in every
    process. What is decided now is seen with the next look. As long as the
    database cannot be read, the last look counts.
    """

    def __init__(self, ports: Ports, bank: Bank) -> None:
        self._ports = ports
        self._first = bank
        with ports.db.read() as tx:
            version, timeline = policies.version(tx, bank.code), policies.timeline(tx, bank.code)
        self._standing = self._at(ports.now(), version, timeline)

    def __call__(self) -> Bank:
        """Return the bank as it is now."""
        standing, now = self._standing, self._ports.now()
        if not standing.since <= now < standing.until:
            standing = self._standing = self._at(now, standing.version, standing.timeline)
        return standing.bank

    def look(self) -> None:
        """See whether something was decided. Raises `StoreAway`."""
        code = self._first.code
        with self._ports.db.read() as tx:
            version = policies.version(tx, code)
            if version == self._standing.version:
                return
            timeline = policies.timeline(tx, code)
        self._standing = self._at(self._ports.now(), version, timeline)

    @contextmanager
    def followed(self, every_s: float = LOOK_S) -> Iterator[None]:
        """Look again and again until the block ends."""
        stop = threading.Event()
        looking = threading.Thread(target=self._follow, args=(stop, every_s), name="policy", daemon=True)
        looking.start()
        try:
            yield
        finally:
            stop.set()
            looking.join(_LEAVE_S)

    def _follow(self, stop: threading.Event, every_s: float) -> None:
        told = False
        while not stop.wait(every_s):
            try:
                self.look()
            except StoreAway:
                pass  # the store has said so itself, once for everybody
            except Exception:
                if not told:
                    log.exception("what was decided about the bank's rules cannot be read; the last ones stay")
                told = True
            else:
                told = False

    def _at(self, now: datetime, version: int, timeline: Timeline) -> _Standing:
        policy = as_installed(timeline.at(now), self._first.policy)
        since, until = timeline.span(now)
        return _Standing(replace(self._first, policy=policy), since, until, version, timeline)
