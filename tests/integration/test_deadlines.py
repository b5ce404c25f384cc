"""A server that is stopped in the middle keeps its connections and answers nothing: every call ends all the same."""

from __future__ import annotations

import gc
import threading
import time
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from tests.support.postgres import Cluster

from sekisho.domain.errors import StoreAway
from sekisho.store import postgresql
from sekisho.store.deadlines import Deadlines
from sekisho.store.postgresql import PostgresDatabase, read_url
from sekisho.store.presence import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

_LONG_S = 60


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    made = Cluster(settings={"max_connections": "40"})
    yield made
    made.remove()


@pytest.fixture
def db(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresDatabase]:
    """Open a database with short deadlines: a server that stands still takes as long as they do."""
    monkeypatch.setattr(postgresql, "_TRANSACTION_S", 0.5)
    monkeypatch.setattr(postgresql, "_CONNECT_S", 2)
    opened = PostgresDatabase(read_url(cluster.url(cluster.new_database())))
    opened.write(lambda tx: tx.exec_driver_sql("CREATE TABLE things (id INTEGER PRIMARY KEY)"))
    yield opened
    cluster.thaw()
    opened.close()


class Calls:
    """Calls in threads of their own, and what became of each."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self._threads: list[threading.Thread] = []

    def begin(self, call: Callable[[], object], times: int = 1) -> None:
        def run() -> None:
            try:
                call()
            except StoreAway:
                self.outcomes.append("away")
            except Exception as failure:  # noqa: BLE001 - looked at by the test
                self.outcomes.append(repr(failure))
            else:
                self.outcomes.append("done")

        for _ in range(times):
            self._threads.append(threading.Thread(target=run, daemon=True))
            self._threads[-1].start()

    def end(self) -> list[str]:
        for thread in self._threads:
            thread.join(_LONG_S)
            assert not thread.is_alive(), "a call hangs"
        return self.outcomes


def until(holds: Callable[[], bool]) -> None:
    for _ in range(_LONG_S * 100):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError


def read(db: PostgresDatabase) -> None:
    with db.read() as tx:
        tx.exec_driver_sql("SELECT 1")


def test_every_call_of_a_stopped_server_ends_and_the_next_ones_are_served_when_it_goes_on(
    cluster: Cluster, db: PostgresDatabase
) -> None:
    inside, go_on = threading.Barrier(3), threading.Event()

    def write(number: int) -> None:
        def work(tx: Connection) -> None:
            inside.wait(_LONG_S)
            assert go_on.wait(_LONG_S)
            tx.execute(text("INSERT INTO things VALUES (:id)"), {"id": number})

        db.write(work)

    begun = Calls()
    begun.begin(lambda: write(1))
    begun.begin(lambda: write(2))
    inside.wait(_LONG_S)
    cluster.freeze()
    go_on.set()
    assert begun.end() == ["away", "away"], "in the middle of a transaction"
    new = Calls()
    new.begin(lambda: read(db), 30)
    new.begin(lambda: db.write(lambda tx: tx.exec_driver_sql("SELECT 1")), 30)
    assert set(new.end()) == {"away"}
    assert not db.holds_lead()
    cluster.thaw()

    def served() -> bool:
        try:
            read(db)
        except StoreAway:
            return False
        return True

    until(served)
    assert db.write(lambda tx: tx.exec_driver_sql("SELECT count(*) FROM things").scalar_one()) == 0
    until(db.holds_lead)


def test_a_server_that_stops_during_the_commit_is_asked_once(cluster: Cluster, db: PostgresDatabase) -> None:
    calls = []

    def work(tx: Connection) -> None:
        calls.append(1)
        tx.exec_driver_sql("INSERT INTO things VALUES (1)")
        cluster.freeze()

    with pytest.raises(StoreAway):
        db.write(work)
    assert calls == [1]


def test_a_change_that_was_committed_when_the_connection_went_is_not_done_again(
    cluster: Cluster, db: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A COMMIT waits for a standby that is not there: it stands already, and its session is ended."""
    monkeypatch.setattr(postgresql, "_TRANSACTION_S", _LONG_S)
    cluster.run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    cluster.run("SELECT pg_reload_conf()")
    until(lambda: _shown(cluster, "synchronous_standby_names") == "nobody")
    try:
        calls = Calls()
        runs = []

        def work(tx: Connection) -> None:
            runs.append(1)
            tx.exec_driver_sql("INSERT INTO things VALUES (1)")

        calls.begin(lambda: db.write(work))
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        until(lambda: cluster.ask(ended) == [(True,)])
        assert calls.end() == ["away"]
    finally:
        cluster.run("ALTER SYSTEM RESET synchronous_standby_names")
        cluster.run("SELECT pg_reload_conf()")
    assert runs == [1]
    db.presence.worked(Entry.WRITE)
    with db.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM things").scalar_one() == 1


def test_connections_that_were_given_up_do_not_fill_the_server_once_it_goes_on(
    cluster: Cluster, db: PostgresDatabase
) -> None:
    db.reading.dispose()
    db.writing.dispose()
    gc.collect()
    gc.disable()  # what waits for the collector may wait for hours
    try:
        cluster.freeze()
        given_up = Calls()
        given_up.begin(lambda: read(db), 10)
        assert given_up.end() == ["away"] * 10
        cluster.thaw()
        until(lambda: cluster.connections() == 0)
    finally:
        gc.enable()


def _shown(cluster: Cluster, name: str) -> str:
    return str(cluster.ask(f"SHOW {name}")[0][0])


def test_where_the_server_has_no_room_for_more_connections_those_there_are_serve_everybody(
    cluster: Cluster, db: PostgresDatabase
) -> None:
    with cluster.full_but_for(6):
        everybody = Calls()
        everybody.begin(lambda: _slow_read(db), 60)
        assert set(everybody.end()) == {"done"}


def _slow_read(db: PostgresDatabase) -> None:
    with db.read() as tx:
        tx.exec_driver_sql("SELECT pg_sleep(0.02)")


def test_where_there_is_no_room_at_all_everybody_is_told_and_served_once_there_is(
    cluster: Cluster, db: PostgresDatabase
) -> None:
    db.reading.dispose()
    db.writing.dispose()
    until(lambda: cluster.connections() == 0)
    with cluster.full_but_for(0):
        everybody = Calls()
        everybody.begin(lambda: read(db), 40)
        assert set(everybody.end()) == {"away"}

    def served() -> bool:
        try:
            read(db)
        except StoreAway:
            return False
        return True

    until(served)


class Watch:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_only_what_is_overdue_is_hung_up_on_even_where_a_number_is_used_again() -> None:
    import socket

    watch = Watch()
    deadlines = Deadlines(watch)
    try:
        first, far = socket.socketpair()
        with first, far, deadlines.on(first.fileno(), 10):
            # Lost and closed inside its block, and the number is another connection's before the block ends.
            block = deadlines.on(first.fileno(), 100)
            with block:
                watch.now = 20
                deadlines.look()
                assert far.recv(1) == b"", "the first is overdue"
        one, other = socket.socketpair()
        with one, other:
            outer, inner = deadlines.on(one.fileno(), 10), deadlines.on(one.fileno(), 10)
            outer.__enter__()
            inner.__enter__()
            outer.__exit__(None, None, None)
            watch.now = 40
            deadlines.look()
            assert other.recv(1) == b"", "the end of one block took the deadline of another"
            inner.__exit__(None, None, None)
    finally:
        deadlines.close()
