"""Bad days under load: clear answers, recovery without hands, nothing lost that a visitor was told they have."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.support.bad_days import Crowd, Held, held, new_installation
from tests.support.crowd import DEADLINE_S, missing, opened, register
from tests.support.disks import inside_mounts_of, on_small_disk
from tests.support.postgres import Cluster, children
from tests.support.served import Served

from sekisho.store.sqlite import SqliteDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.nodes import Node

_VISITORS = 8
_WORKERS = 2
# Of the pools, and of threads that serve visitors, in each process.
_MOST_CONNECTIONS = 30 * (_WORKERS + 1)
_MOST_THREADS = 70
_SHORT_OR_A_MINUTE = [pytest.param(2, id="short"), pytest.param(60, id="a minute", marks=pytest.mark.soak)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    made = Cluster(settings={"max_connections": "110"})
    yield made
    made.remove()


class Day:
    """A node under load."""

    def __init__(self, node: Node, folder: Path, cluster: Cluster | None) -> None:
        self.node = node
        self.cluster = cluster
        self.visitors = register(node, folder, _VISITORS)
        self._log_before = len(node.log())

    @property
    def pid(self) -> int:
        assert self.node.process is not None
        return self.node.process.pid

    def lost(self) -> list[str]:
        with opened(self.node) as ports:
            return list(missing(ports.db, self.visitors))

    def check_back_to_normal(self, before: Held) -> None:
        after = held(self.pid)
        assert after.threads <= _MOST_THREADS
        assert after.files <= before.files + 60
        assert after.kilobytes <= before.kilobytes + 100_000
        if self.cluster is not None:
            assert self.cluster.connections() <= _MOST_CONNECTIONS

    def signal_node(self, number: signal.Signals) -> None:
        for pid in [self.pid, *children(self.pid)]:
            os.kill(pid, number)

    def await_back(self, crowd: Crowd) -> None:
        """Wait until every process that said that the database went says that it is back.

        The visitors keep their connections, which may all be with one process, and mostly read: others come anew each
        time, all at once, so that they meet every process and have something written.
        """
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(len(self.visitors)) as pool:
            fresh: dict[str, Any] = {"acknowledged": [], "tokens": [], "clients": [], "ports": {}}
            fresh["folder"] = Path(folder)
            others = [replace(one, **fresh) for one in self.visitors]

            def said() -> bool:
                list(pool.map(lambda other: other.acquire(), others))
                others[0].close()
                return self.lines("the database can be used again") == self.lines("the database cannot be used")

            crowd.wait_until(said)

    def lines(self, words: str) -> int:
        return self.node.log()[self._log_before :].count(words)


@contextmanager
def served(folder: Path, cluster: Cluster | None) -> Iterator[Node]:
    """Serve a bank by a node with two workers, on SQLite or on PostgreSQL."""
    node = new_installation(folder, cluster, workers=_WORKERS)
    node.start()
    try:
        yield node
    finally:
        if cluster is not None and cluster.process is not None:
            cluster.thaw()
        node.stop()


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Node]:
    """Serve one node on PostgreSQL for all tests: it comes through one bad day after another."""
    with served(tmp_path_factory.mktemp("lasting"), cluster) as node:
        yield node


@pytest.fixture
def day(tmp_path: Path, lasting: Node, cluster: Cluster) -> Iterator[Day]:
    """Begin a day on PostgreSQL."""
    yield Day(lasting, tmp_path, cluster)
    if cluster.process is None:
        cluster.start()
    cluster.thaw()


@pytest.fixture
def either_day(tmp_path: Path, engine: str, request: pytest.FixtureRequest) -> Iterator[Day]:
    """Begin a day on either database."""
    if engine == "postgresql":
        yield Day(request.getfixturevalue("lasting"), tmp_path, request.getfixturevalue("cluster"))
        return
    with served(tmp_path, None) as node:
        yield Day(node, tmp_path, None)


def check_log(day: Day) -> None:
    """Find a line for each process when the database went, and nothing of a bug."""
    assert 1 <= day.lines("the database cannot be used") <= 2 * (_WORKERS + 1)
    assert day.lines("background work") == 0
    assert day.lines("Traceback") == 0


@pytest.mark.parametrize("gone_s", _SHORT_OR_A_MINUTE)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["stopped", "killed"])
def test_the_database_is_gone_for_a_while(day: Day, cluster: Cluster, how: signal.Signals, gone_s: int) -> None:
    with Crowd(day.visitors) as crowd:
        crowd.await_all_served(3)
        before = held(day.pid)
        cluster.stop(how)
        crowd.await_told("service-unavailable", 5 * _VISITORS)
        listed = httpx.get(f"{day.node.info['urls']['pki']}/9990/user.crl", timeout=DEADLINE_S)
        assert (listed.status_code, listed.text, listed.headers["retry-after"]) == (503, "service-unavailable\n", "30")
        time.sleep(gone_s)
        cluster.start()
        crowd.await_all_served(5)
        day.await_back(crowd)
    assert crowd.strange == []
    assert day.lost() == []
    day.check_back_to_normal(before)
    check_log(day)


@pytest.mark.parametrize("gone_s", _SHORT_OR_A_MINUTE)
def test_the_database_stands_still_for_a_while(day: Day, cluster: Cluster, gone_s: int) -> None:
    with Crowd(day.visitors) as crowd:
        crowd.await_all_served(3)
        before = held(day.pid)
        cluster.freeze()
        crowd.await_told("service-unavailable", 5 * _VISITORS)
        time.sleep(gone_s)
        cluster.thaw()
        crowd.await_all_served(5)
        day.await_back(crowd)
    assert crowd.strange == []
    assert day.lost() == []
    day.check_back_to_normal(before)
    check_log(day)


def test_a_server_ends_in_time_though_its_database_stands_still(tmp_path: Path, cluster: Cluster) -> None:
    with served(tmp_path, cluster) as node:
        with Crowd(Day(node, tmp_path, cluster).visitors) as crowd:
            crowd.await_all_served(2)
        cluster.freeze()
        assert node.stop() == 0  # within the helper's patience


def test_others_hold_the_databases_connections(day: Day, cluster: Cluster) -> None:
    with Crowd(day.visitors) as crowd:
        crowd.await_all_served(3)
        with cluster.full_but_for(0):
            # Those that Sekisho has serve everybody.
            crowd.await_all_served(5)
    assert crowd.strange == []
    assert day.lost() == []


def test_there_is_no_room_at_all_in_the_database(day: Day, cluster: Cluster) -> None:
    with Crowd(day.visitors) as crowd:
        crowd.await_all_served(3)
        before = held(day.pid)
        cluster.stop()
        crowd.await_told("service-unavailable", _VISITORS)
        cluster.settings["max_connections"] = "4"
        day.signal_node(signal.SIGSTOP)  # so that the others are first
        cluster.start()
        with cluster.full_but_for(0):
            day.signal_node(signal.SIGCONT)
            crowd.await_told("service-unavailable", 5 * _VISITORS)
        cluster.stop()
        cluster.settings["max_connections"] = "110"
        cluster.start()
        crowd.await_all_served(5)
        day.await_back(crowd)
    assert crowd.strange == []
    assert day.lost() == []
    day.check_back_to_normal(before)


def test_sessions_of_the_database_are_ended_again_and_again(day: Day, cluster: Cluster) -> None:
    with Crowd(day.visitors) as crowd:
        crowd.await_all_served(3)
        before = held(day.pid)
        for _ in range(40):
            cluster.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'sekisho' AND random() < 0.5"
            )
            time.sleep(0.05)
        crowd.await_all_served(5)
        day.await_back(crowd)
    assert crowd.strange == []
    assert day.lost() == []
    day.check_back_to_normal(before)


def test_a_worker_is_killed_under_load(either_day: Day) -> None:
    """Who was with it is cut off, and comes to another; nothing they were told before is lost."""
    day = either_day
    with Crowd(day.visitors, may_be_cut=True) as crowd:
        crowd.await_all_served(3)
        for _ in range(2):
            os.kill(day.node.worker_pids()[0], signal.SIGKILL)
            crowd.await_all_served(5)
    assert crowd.strange == []
    assert day.lost() == []


def test_the_ca_is_killed_under_load(either_day: Day) -> None:
    day = either_day
    for _ in range(3):
        newcomers = register(day.node, day.visitors[0].folder, 4)
        day.visitors += newcomers
        with Crowd(newcomers) as crowd:
            (ca,) = [pid for pid in children(day.pid) if b"ca\0--data-dir" in _command(pid)]
            os.kill(ca, signal.SIGKILL)
            crowd.await_all_served(3)
        assert crowd.strange == []
    assert all(visitor.acknowledged for visitor in day.visitors[_VISITORS:])
    assert day.lost() == []


def _command(pid: int) -> bytes:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


@pytest.mark.parametrize("held_s", [pytest.param(2, id="short"), pytest.param(40, id="long", marks=pytest.mark.soak)])
def test_another_program_locks_the_database_file(tmp_path: Path, held_s: int) -> None:
    with served(tmp_path, None) as node:
        day = Day(node, tmp_path, None)
        with Crowd(day.visitors) as crowd:
            crowd.await_all_served(3)
            before = held(day.pid)
            with closing(sqlite3.connect(day.node.data_dir / "sekisho.db", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                time.sleep(held_s)
                other.execute("ROLLBACK")
            crowd.await_all_served(5)
        assert crowd.strange == []
        assert day.lost() == []
        assert crowd.told["service-unavailable"] == 0
        day.check_back_to_normal(before)


@pytest.mark.parametrize("full_s", _SHORT_OR_A_MINUTE)
def test_the_disk_is_full_under_sqlite(tmp_path: Path, full_s: int) -> None:
    filled = new_installation(tmp_path, None)
    visitors = register(filled, tmp_path, _VISITORS)
    small = tmp_path / "small"
    small.mkdir()
    argv = [sys.executable, "-m", "tests.support.serving", str(small), str(filled.port_base)]
    full = Served(small, filled.port_base, argv=on_small_disk(small, 6, argv, filled_from=filled.data_dir))
    full.start()
    assert full.process is not None
    pid = full.process.pid
    copy = tmp_path / "copy.db"
    try:
        with Crowd(visitors) as crowd:
            crowd.await_all_served(3)
            before = held(pid)
            inside_mounts_of(pid, f"dd if=/dev/zero of={small}/ballast bs=4k || true")
            crowd.await_told("service-unavailable", 5 * _VISITORS)
            time.sleep(full_s)
            inside_mounts_of(pid, f"rm {small}/ballast")
            crowd.await_all_served(5)
        assert crowd.strange == []
        after = held(pid)
        assert after.threads <= _MOST_THREADS
        assert after.files <= before.files + 60
        inside_mounts_of(pid, f"cp {small}/sekisho.db {copy} && cp {small}/sekisho.db-wal {copy}-wal")
    finally:
        full.stop()
    db = SqliteDatabase(copy)
    try:
        assert list(missing(db, visitors)) == []
    finally:
        db.close()
    log = full.log()
    assert log.count("the database cannot be used") == 1
    assert log.count("background work (mails) failed") <= 1
    assert log.count("bug ") == 0


@pytest.mark.parametrize("full_s", _SHORT_OR_A_MINUTE)
def test_the_disk_is_full_under_postgresql(tmp_path: Path, full_s: int) -> None:
    """The tables' disk; the write-ahead log has one of its own."""
    cluster = Cluster(small_disk_mb=40)
    try:
        with served(tmp_path, cluster) as node:
            day = Day(node, tmp_path, cluster)
            with Crowd(day.visitors) as crowd:
                crowd.await_all_served(3)
                before = held(day.pid)
                inside_mounts_of(cluster.pid, f"dd if=/dev/zero of={cluster.small_disk}/ballast bs=4k || true")
                crowd.await_told("service-unavailable", 5 * _VISITORS)
                time.sleep(full_s)
                inside_mounts_of(cluster.pid, f"rm {cluster.small_disk}/ballast")
                crowd.await_all_served(5)
                day.await_back(crowd)
            assert crowd.strange == []
            assert day.lost() == []
            day.check_back_to_normal(before)
            check_log(day)
    finally:
        cluster.remove()
