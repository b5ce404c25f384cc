"""Callers who come in a crowd are served together.

A flush to disk, or a question to another process, takes nearly as long for
one as for two hundred. Whatever waits while work is under way is done at
once as soon as it is over; nobody waits for company, so a caller who comes
alone is served at once. Only after a crowd the next leader lets those come who
are on their way.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sekisho.domain.errors import StoreAway, TooManyRequests

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
Means = TypeVar("Means")
MOST = 256
# A visitor who waited this long is better told to come back.
PATIENCE_S = 15.0
_LOOK_S = 0.0001
_LOOKS = 20


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Item]):
    """One caller; `outcome` is what they get, and until it is set what a leader who was cut off leaves behind."""

    item: Item
    outcome: Any = field(default_factory=StoreAway)
    done: bool = False
    # Held until the caller's work is done, or it is their turn to lead.
    turn: threading.Lock = field(default_factory=threading.Lock)


class Gatherer(Generic[Item, Outcome]):
    """Gathers the items of callers who wait and has `work` done for all of them.

    `work` returns an outcome for each item, in their order; one that is an
    exception is raised for its caller, and what `work` itself raises for all.
    No thread of its own: of those who wait the first leads, and hands the
    lead over to the first of those who came meanwhile. `patience_s` bounds
    how long anybody waits.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Outcome | Exception]],
        *,
        patience_s: float,
        most: int = MOST,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._work = work
        self._pause = pause
        self._patience_s = patience_s
        self._most = most
        self._lock = threading.Lock()
        self._waiting: list[_Waiting[Item]] = []
        self._led = False
        self._crowded = False

    def submit(self, item: Item) -> Outcome:
        """Return the item's outcome, or raise it.

        Raises `TooManyRequests` where nobody began with it in time, and
        `StoreAway` where it was begun and did not come back in time: what
        became of it is not known then.
        """
        mine = _Waiting(item)
        mine.turn.acquire()
        with self._lock:
            leads = not self._led
            self._led = True
            if not leads:
                self._waiting.append(mine)
        if not leads and not mine.turn.acquire(timeout=self._patience_s):
            self._give_up(mine)
        if not mine.done:
            self._lead(mine)
        if isinstance(mine.outcome, Exception):
            raise mine.outcome
        outcome: Outcome = mine.outcome
        return outcome

    def _lead(self, leader: _Waiting[Item]) -> None:
        """Do the leader's work with that of all who wait, and hand the lead over."""
        if self._crowded:
            self._let_come()
        with self._lock:
            batch = [leader, *self._waiting[: self._most - 1]]
            del self._waiting[: self._most - 1]
            self._crowded = len(batch) > 1
        try:
            outcomes = self._work([one.item for one in batch])
            for one, outcome in zip(batch, outcomes, strict=True):
                one.outcome = outcome
        except Exception as failure:  # noqa: BLE001 - told to everyone whose item it is
            for one in batch:
                one.outcome = failure
        finally:
            for one in batch:
                one.done = True
            for one in batch[1:]:
                one.turn.release()
            with self._lock:
                if self._waiting:
                    self._waiting.pop(0).turn.release()
                else:
                    self._led = False

    def _let_come(self) -> None:
        """Let those who are about to wait get as far.

        Where many come they come at once, and the first of them, who leads, would be served alone and
        before all the others: they only lack the interpreter.
        """
        came = -1
        for _ in range(_LOOKS):
            if came == (came := len(self._waiting)):
                return
            self._pause(_LOOK_S)

    def _give_up(self, mine: _Waiting[Item]) -> None:
        with self._lock:
            if mine.turn.acquire(blocking=False):
                return  # it came at the last moment
            if mine in self._waiting:
                self._waiting.remove(mine)
                raise TooManyRequests
        raise StoreAway


class Crowd:
    """A gatherer for each kind of work.

    One batch of a kind is under way in each process: two would fight over
    Python's interpreter lock, and each would be half as large.
    """

    def __init__(self, *, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._of: dict[Any, Gatherer[Any, Any]] = {}

    def serve(
        self, work: Callable[[Means, Sequence[Item]], Sequence[Outcome | Exception]], means: Means, item: Item
    ) -> Outcome:
        """Have `work(means, items)` done for the item with whatever else waits for it; see `Gatherer.submit`."""
        with self._lock:
            gatherer = self._of.get(work)
            if gatherer is None:
                gatherer = Gatherer(partial(work, means), patience_s=self._patience_s)
                self._of[work] = gatherer
        outcome: Outcome = gatherer.submit(item)
        return outcome
