"""One transaction for each change, whatever it collides with; one bad item of many fails alone."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError
from tests.support.postgres import shared_cluster
from tests.support.world import new_store

from sekisho.domain.errors import NotAccepted, StoreAway, TooManyRequests
from sekisho.store import database
from sekisho.store.postgresql import PostgresDatabase
from sekisho.store.presence import Entry, Presence

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sqlalchemy import Connection

    from sekisho.store.database import Database


@pytest.fixture
def db(tmp_path: Path, engine: str) -> Iterator[Database]:
    """Open a database with a table of two columns: `id`, which is unique, and `n`."""
    with new_store(tmp_path, engine) as opened:
        make_table(opened)
        yield opened


@pytest.fixture
def pg(tmp_path: Path) -> Iterator[PostgresDatabase]:
    with new_store(tmp_path, "postgresql") as opened:
        assert isinstance(opened, PostgresDatabase)
        make_table(opened)
        yield opened


def make_table(db: Database) -> None:
    db.write(lambda tx: tx.exec_driver_sql("CREATE TABLE things (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)"))


def add(tx: Connection, number: int) -> int:
    tx.execute(text("INSERT INTO things VALUES (:id, 0)"), {"id": number})
    return number


def add_all(tx: Connection, numbers: Sequence[int]) -> list[int | Exception]:
    """Add numbers; those below zero are refused, twice the same is a bug."""
    for number in numbers:
        add(tx, number)
        if number < 0:
            raise NotAccepted
    return list(numbers)


def things(db: Database) -> list[int]:
    with db.read() as tx:
        return [row[0] for row in tx.exec_driver_sql("SELECT id FROM things ORDER BY id")]


def sum_of_n(db: Database) -> int:
    with db.read() as tx:
        return int(tx.exec_driver_sql("SELECT coalesce(sum(n), 0) FROM things").scalar_one())


def test_one_bad_item_of_many_fails_alone_and_the_rest_is_committed(db: Database) -> None:
    db.write(lambda tx: add(tx, 7))
    outcomes = db.write_all(add_all, [1, 2, -3, 4, 7, 5])
    assert [type(one) for one in outcomes] == [int, int, NotAccepted, int, IntegrityError, int]
    assert things(db) == [1, 2, 4, 5, 7]


def test_many_good_items_are_one_transaction(db: Database) -> None:
    calls = []

    def work(tx: Connection, numbers: Sequence[int]) -> list[int | Exception]:
        calls.append(list(numbers))
        return add_all(tx, numbers)

    assert db.write_all(work, range(300)) == list(range(300))
    assert [len(call) for call in calls] == [300]


def test_one_item_alone_that_is_refused_is_not_tried_again(db: Database) -> None:
    calls = []

    def work(tx: Connection, numbers: Sequence[int]) -> list[int | Exception]:
        calls.append(list(numbers))
        return add_all(tx, numbers)

    with pytest.raises(NotAccepted):
        db.write_all(work, [-1])
    assert calls == [[-1]]
    assert things(db) == []


@pytest.mark.parametrize("away", [StoreAway, TooManyRequests])
def test_what_meets_all_is_not_tried_for_one_after_the_other(db: Database, away: type[Exception]) -> None:
    calls = []

    def work(tx: Connection, numbers: Sequence[int]) -> list[int | Exception]:
        calls.append(len(numbers))
        add(tx, numbers[0])
        if len(calls) == 1:
            raise NotAccepted
        raise away

    with pytest.raises(away):
        db.write_all(work, [1, 2, 3])
    assert calls == [3, 1]
    assert things(db) == []


def test_a_refusal_undoes_everything(db: Database) -> None:
    def work(tx: Connection) -> None:
        add(tx, 1)
        with tx.begin_nested():
            add(tx, 2)
        raise NotAccepted

    with pytest.raises(NotAccepted):
        db.write(work)
    assert things(db) == []
    db.write(lambda tx: add(tx, 1))
    assert things(db) == [1]


def test_a_bug_undoes_everything_and_stays_a_bug(db: Database) -> None:
    def work(tx: Connection) -> None:
        add(tx, 1)
        raise LookupError

    with pytest.raises(LookupError):
        db.write(work)
    assert things(db) == []


def at_once(db: Database, works: Sequence[Any]) -> list[object]:
    outcomes: list[object] = [None] * len(works)

    def run(at: int) -> None:
        try:
            outcomes[at] = db.write(works[at])
        except Exception as failure:  # noqa: BLE001 - looked at by the test
            outcomes[at] = failure

    threads = [threading.Thread(target=run, args=(at,), daemon=True) for at in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return outcomes


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try what took long to fail again all the same: the machine may be busy."""
    monkeypatch.setattr(database, "_RETRY_S", 60.0)


@pytest.mark.usefixtures("patient")
def test_a_deadlock_of_two_sessions_is_tried_again_and_both_are_done(pg: PostgresDatabase) -> None:
    pg.write(lambda tx: [add(tx, number) for number in (1, 2)])
    both_hold_one = threading.Barrier(2)
    calls: list[int] = []

    def crossing(first: int, second: int) -> Any:
        def work(tx: Connection) -> str:
            calls.append(first)
            for number in (first, second):
                tx.execute(text("UPDATE things SET n = n + 1 WHERE id = :id"), {"id": number})
                if len(calls) <= 2 and number == first:
                    both_hold_one.wait(30)
            return "done"

        return work

    assert at_once(pg, [crossing(1, 2), crossing(2, 1)]) == ["done", "done"]
    assert len(calls) >= 3, "they never collided"
    assert sum_of_n(pg) == 4


@pytest.mark.usefixtures("patient")
def test_a_serialization_failure_is_tried_again_and_nothing_is_lost(pg: PostgresDatabase) -> None:
    pg.write(lambda tx: add(tx, 1))
    both_have_read = threading.Barrier(2)
    calls: list[int] = []

    def count_up(tx: Connection) -> str:
        tx.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        n = tx.exec_driver_sql("SELECT n FROM things WHERE id = 1").scalar_one()
        calls.append(n)
        if len(calls) <= 2:
            both_have_read.wait(30)
        tx.execute(text("UPDATE things SET n = :n WHERE id = 1"), {"n": n + 1})
        return "done"

    assert at_once(pg, [count_up, count_up]) == ["done", "done"]
    assert len(calls) >= 3, "they never collided"
    assert sum_of_n(pg) == 2


def test_who_is_unlucky_every_time_is_told_to_come_back(pg: PostgresDatabase) -> None:
    calls = []

    def work(tx: Connection) -> None:
        calls.append(1)
        add(tx, 1)
        tx.exec_driver_sql("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$")

    with pytest.raises(TooManyRequests):
        pg.write(work)
    assert len(calls) == 5
    assert things(pg) == []


def test_who_reaches_a_database_in_vain_lets_the_next_one_try(pg: PostgresDatabase) -> None:
    """It was not there, and answers again, though only that it is busy: nobody is turned away unasked."""
    clock = [100.0]
    pg.presence = Presence(lambda: clock[0])
    pg.presence.failed(Entry.WRITE, "gone", unreachable=True)
    with pytest.raises(StoreAway):
        pg.write(lambda tx: add(tx, 1))
    clock[0] += 2
    with pytest.raises(TooManyRequests):
        pg.write(lambda tx: tx.exec_driver_sql("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$"))
    assert pg.write(lambda tx: tx.exec_driver_sql("SELECT 1").scalar_one()) == 1


def test_a_connection_that_is_lost_before_the_commit_is_made_anew_and_the_work_done_once(pg: PostgresDatabase) -> None:
    calls = []

    def work(tx: Connection) -> str:
        calls.append(1)
        add(tx, 1)
        if len(calls) == 1:
            tx.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
        return "done"

    assert pg.write(work) == "done"
    assert len(calls) == 2
    assert things(pg) == [1]


_CUT_AT_COMMIT = """
CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON things DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION cut();
"""


def test_a_connection_that_is_lost_during_the_commit_is_told_and_nothing_is_run_twice(pg: PostgresDatabase) -> None:
    pg.write(lambda tx: tx.exec_driver_sql(_CUT_AT_COMMIT))
    calls = []

    def work(tx: Connection) -> None:
        calls.append(1)
        add(tx, 1)

    with pytest.raises(StoreAway):
        pg.write(work)
    assert len(calls) == 1
    pg.presence.worked(Entry.WRITE)  # else the next is told that the database is away

    def many(tx: Connection, numbers: Sequence[int]) -> list[int | Exception]:
        calls.append(len(numbers))
        return add_all(tx, numbers)

    with pytest.raises(StoreAway):
        pg.write_all(many, [1, 2])
    assert calls == [1, 2], "not one after the other either"


def test_a_connection_that_ended_while_it_was_idle_is_noticed_by_nobody(pg: PostgresDatabase) -> None:
    for _ in range(3):
        pg.write(lambda tx: tx.exec_driver_sql("SELECT 1"))
        with pg.read() as tx:
            tx.exec_driver_sql("SELECT 1")
        with pg.writing.connect() as killer:
            killer.exec_driver_sql(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
    with pg.read() as tx:
        assert tx.exec_driver_sql("SELECT 1").scalar_one() == 1


def test_new_connections_that_are_ended_at_once_are_made_anew(pg: PostgresDatabase) -> None:
    pg.writing.dispose()
    ended: list[int] = []

    def end(connection: Any, _record: object) -> None:
        if len(ended) < 3:
            ended.append(connection.info.backend_pid)
            shared_cluster().run(f"SELECT pg_terminate_backend({ended[-1]}, 10000)")

    event.listen(pg.writing, "connect", end)
    pg._worked_at = float("-inf")
    assert pg.write(lambda tx: add(tx, 1)) == 1
    assert len(ended) == 3


def test_work_that_waits_for_a_lock_is_told_in_time(pg: PostgresDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    pg.write(lambda tx: add(tx, 1))
    with pg.writing.connect() as holder, holder.begin():
        holder.exec_driver_sql("UPDATE things SET n = 5")

        def work(tx: Connection) -> None:
            tx.exec_driver_sql("SET LOCAL lock_timeout = '200ms'")
            tx.exec_driver_sql("UPDATE things SET n = 6")

        with pytest.raises(StoreAway):
            pg.write(work)
        assert pg.write(lambda tx: add(tx, 2)) == 2, "the database is not away for that"
