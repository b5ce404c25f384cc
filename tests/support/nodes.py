"""Nodes of one bank: each serves a data folder of its own, all on one database."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.support.patience import wait_until
from tests.support.postgres import shared_cluster
from tests.support.served import ROOT, Served, free_port_base

from sekisho.cli import demo
from sekisho.settings import DATABASE_URL

if TYPE_CHECKING:
    from collections.abc import Iterator

_READY_S = 180


@dataclass
class Node(Served):
    """`sekisho serve` of a data folder that a demo has filled. It says on standard error that it is ready."""

    workers: int = 1
    log_start: int = 0

    def start(self) -> dict[str, Any]:
        argv = [sys.executable, "-m", "sekisho", "serve", "--data-dir", str(self.data_dir)]
        with self._log_file().open("ab") as log:
            self.log_start = log.tell()
            self.process = subprocess.Popen(
                [*argv, "--workers", str(self.workers)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=ROOT,
                env=os.environ | self.env,
            )
        self.await_log("every site answers")
        return self.info

    def await_log(self, words: str, times: int = 1) -> None:
        """Wait until the log of this start holds the words."""
        deadline = time.monotonic() + _READY_S
        while self.log()[self.log_start :].count(words) < times:
            assert self.process is not None
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def _log_file(self) -> Path:
        return self.data_dir.with_name(self.data_dir.name + ".log")

    def worker_pids(self) -> list[int]:
        """Return the processes that answer visitors."""
        assert self.process is not None
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(FileNotFoundError, ProcessLookupError):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self.process.pid and b"spawn_main" in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
        return found


@contextmanager
def nodes(folder: Path, count: int, engine: str, *, workers: int = 1) -> Iterator[list[Node]]:
    """Serve a bank, filled with the demo's company, by so many nodes on one database."""
    filled, database = _filled(engine)
    base = free_port_base()
    env = {}
    name = None
    if database is not None:
        name = shared_cluster().new_database(database)
        env[DATABASE_URL] = shared_cluster().url(name)
    made: list[Node] = []
    try:
        for number in range(count):
            data_dir = folder / f"node{number}"
            shutil.copytree(filled.data_dir, data_dir)
            settings = demo.prepare_folder(data_dir, base + 10 * number)
            made.append(
                Node(data_dir, base, env=env, info=filled.info | {"urls": dict(settings.urls)}, workers=workers)
            )
            made[-1].start()
        yield made
    finally:
        for node in made:
            node.stop()
        if name is not None:
            shared_cluster().drop_database(name)


@cache
def _filled(engine: str) -> tuple[Served, str | None]:
    """Return a demo that was started once and its database, to be copied."""
    folder = Path(tempfile.mkdtemp(prefix="sekisho-filled-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    database = shared_cluster().new_database() if engine == "postgresql" else None
    env = {} if database is None else {DATABASE_URL: shared_cluster().url(database)}
    served = Served(folder / "data", free_port_base(), env=env)
    served.start()
    served.stop()
    return served, database


@dataclass
class Load:
    """Visitors who do the same again and again, each in a thread, until told to stop; what fails is kept."""

    act: Any
    callers: int = 6
    done: int = 0
    failures: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._repeat, args=(number,)) for number in range(self.callers)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def await_more(self, count: int) -> None:
        """Wait until so many more were done."""
        wanted = self.done + count
        wait_until(lambda: self.done >= wanted, lambda: self.failures)

    def _repeat(self, number: int) -> None:
        while not self._stop.is_set():
            try:
                self.act(number)
            except Exception as failure:  # noqa: BLE001 - whatever a visitor meets counts
                self.failures.append(repr(failure))
            self.done += 1


def hard_kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
