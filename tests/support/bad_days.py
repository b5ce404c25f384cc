"""Visitors who keep coming on a bad day, what each was told, and what a server holds."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.support.nodes import Node
from tests.support.patience import wait_until
from tests.support.postgres import children
from tests.support.served import Served, free_port_base

from sekisho.cli import demo
from sekisho.settings import DATABASE_URL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.support.crowd import Answer, Visitor
    from tests.support.postgres import Cluster

_PAUSE_S = 0.03
_CLEAR = {
    (200, ""),
    (303, ""),
    # A form is answered by a redirect to its page, which says the code.
    (303, "service-unavailable"),
    (303, "too-many-requests"),
    (503, "service-unavailable"),
    (429, "too-many-requests"),
    (202, "ca-away"),
    (503, "ca-away"),
}
_PASSING = {503, 429, 202}


def new_installation(folder: Path, cluster: Cluster | None, *, workers: int = 1) -> Node:
    """Set up the demo's bank, on SQLite or in a database of its own, and return it, not serving yet."""
    filled, database = _filled(cluster)
    env = {} if cluster is None else {DATABASE_URL: cluster.url(cluster.new_database(database))}
    data_dir, base = folder / "data", free_port_base()
    shutil.copytree(filled.data_dir, data_dir)
    settings = demo.prepare_folder(data_dir, base)
    return Node(data_dir, base, env=env, info=filled.info | {"urls": dict(settings.urls)}, workers=workers)


@cache
def _filled(cluster: Cluster | None) -> tuple[Served, str | None]:
    """Return a demo that was started once and its database, to be copied."""
    folder = Path(tempfile.mkdtemp(prefix="sekisho-filled-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    database = None if cluster is None else cluster.new_database()
    env = {} if cluster is None or database is None else {DATABASE_URL: cluster.url(database)}
    served = Served(folder / "data", free_port_base(), env=env)
    served.start()
    served.stop()
    return served, database


@dataclass
class Crowd:
    """Visitors, a thread each: they acquire, log on, and look at their status, again and again.

    `strange` holds whatever was neither done nor clearly put off: an error of
    the server, a connection that was cut, an answer that never came.
    """

    visitors: Sequence[Visitor]
    may_be_cut: bool = False
    told: Counter[str] = field(default_factory=Counter)
    strange: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._good: Counter[str] = Counter()
        self._threads = [threading.Thread(target=self._live, args=(visitor,)) for visitor in self.visitors]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def await_all_served(self, times: int = 2) -> None:
        """Wait until every visitor was served so many times more."""
        with self._lock:
            self._good.clear()
        self.wait_until(lambda: all(self._good[visitor.address] >= times for visitor in self.visitors))

    def await_told(self, code: str, times: int) -> None:
        """Wait until so many more were told a code."""
        wanted = self.told[code] + times
        self.wait_until(lambda: self.told[code] >= wanted)

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait for something while visitors keep coming."""
        wait_until(holds, lambda: (self.told, self._good, self.strange[:3]))

    def _live(self, visitor: Visitor) -> None:
        while not self._stop.wait(_PAUSE_S):
            try:
                if visitor.acknowledged:
                    client = visitor.client("user")
                    self._note(visitor, visitor.log_on(client))
                    self._note(visitor, visitor.status(client), may_be_out=True)
                else:
                    self._note(visitor, visitor.acquire())
            except Exception as failure:  # noqa: BLE001 - whatever a visitor meets counts
                if not self.may_be_cut:
                    self.strange.append(repr(failure))
            finally:
                visitor.close()

    def _note(self, visitor: Visitor, answer: Answer, *, may_be_out: bool = False) -> None:
        with self._lock:
            self.told[answer.code] += 1
            if not answer.code:
                self._good[visitor.address] += 1
            if may_be_out and answer.code.startswith("session-"):
                return  # who was not logged on
            clear = (answer.status, answer.code) in _CLEAR
            if not clear or (answer.status in _PASSING and "retry-after" not in answer.headers):
                self.strange.append(f"{answer.status} {answer.code} {answer.headers}")


@dataclass(frozen=True)
class Held:
    """What a process and those that it started hold: the largest of each."""

    threads: int
    files: int
    kilobytes: int


def held(pid: int) -> Held:
    all_held = []
    for one in [pid, *children(pid)]:
        with suppress(FileNotFoundError, ProcessLookupError):
            status = dict(line.split(":", 1) for line in Path(f"/proc/{one}/status").read_text().splitlines())
            files = len(list(Path(f"/proc/{one}/fd").iterdir()))
            all_held.append(Held(int(status["Threads"]), files, int(status.get("VmRSS", "0 kB").split()[0])))
    return Held(
        max(one.threads for one in all_held),
        max(one.files for one in all_held),
        max(one.kilobytes for one in all_held),
    )
