"""Several processes and nodes: what one is told, all know; one that goes takes nobody with it."""

from __future__ import annotations

import gc
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from tests.support.crowd import Answer, Visitor, opened, register
from tests.support.nodes import Load, Node, hard_kill, nodes
from tests.support.patience import wait_until
from tests.support.person import Person
from tests.support.postgres import shared_cluster

from sekisho.store.postgresql import PostgresDatabase, read_url

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def database_url() -> Iterator[str]:
    cluster = shared_cluster()
    name = cluster.new_database()
    yield cluster.url(name)
    cluster.drop_database(name)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[list[Node]]:
    with nodes(tmp_path, 2, "postgresql") as serving:
        yield serving


@pytest.fixture(params=["sqlite", "postgresql"])
def workers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Node]:
    """One node with two workers, on either database."""
    with nodes(tmp_path, 1, request.param, workers=2) as serving:
        yield serving[0]


class Visitors(Protocol):
    def __call__(self, node: Node, site: str, holder: Any = ..., cookies: httpx.Cookies | None = ...) -> Person: ...


@pytest.fixture
def at() -> Iterator[Visitors]:
    """Make persons at a site of a node, who leave at the end."""
    made: list[Person] = []

    def person(node: Node, site: str, holder: Any = None, cookies: httpx.Cookies | None = None) -> Person:
        one = Person(node, site, holder)  # not made[-1]: several threads make theirs at once
        one.http.cookies.update(cookies)
        made.append(one)
        return one

    yield person
    for one in made:
        one.close()


def test_a_session_is_good_on_every_node_and_ends_on_every_node(two: list[Node], at: Visitors) -> None:
    keiri01 = two[0].user("keiri01")
    here = at(two[0], "user", keiri01)
    assert here.log_on_user().path == "/status"
    there = at(two[1], "user", keiri01, here.http.cookies)
    assert there.get("/status").path == "/status"
    here.send(here.get("/status"), "/logoff")
    assert there.get("/status").outcome == "session-missing"


def test_a_revocation_on_one_node_is_seen_on_the_other_at_the_next_request(two: list[Node], at: Visitors) -> None:
    keiri01 = two[1].user("keiri01")
    there = at(two[1], "user", keiri01)
    assert there.log_on_user().path == "/status"
    serial = next(
        line.split()[0] for line in two[0].sekisho("certificates", "list").stdout.splitlines() if "keiri01" in line
    )
    assert two[0].sekisho("certificates", "revoke", serial).returncode == 0
    assert there.get("/status").outcome == "certificate-revoked"


def test_misses_on_two_nodes_are_one_count(two: list[Node], at: Visitors) -> None:
    keiri01 = two[0].user("keiri01")
    both = [at(node, "user", keiri01) for node in two]
    outcomes = [both[guess % 2].log_on_user("wrong111").outcome for guess in range(7)]
    assert outcomes == ["entry-wrong"] * 6 + ["user-suspended"]
    assert both[0].log_on_user().outcome == "user-suspended"
    assert both[1].log_on_user().outcome == "user-suspended"


def test_one_node_alone_does_the_work_that_nobody_waits_for(database_url: str) -> None:
    first, second = (PostgresDatabase(read_url(database_url)) for _ in range(2))
    try:
        assert first.holds_lead()
        assert first.holds_lead(), "it keeps it"
        assert not second.holds_lead()
        first.close()
        # The server takes a moment to notice that the connection is gone, here and below.
        wait_until(second.holds_lead)
    finally:
        first.close()
        second.close()


def test_the_lead_falls_to_another_when_its_connection_is_cut(database_url: str) -> None:
    first, second = (PostgresDatabase(read_url(database_url)) for _ in range(2))
    try:
        assert first.holds_lead()
        shared_cluster().run(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'",
            database_url.split("/")[3].split("?", maxsplit=1)[0],
        )
        wait_until(second.holds_lead)
        assert not first.holds_lead()
    finally:
        first.close()
        second.close()


def test_forty_at_once_with_one_permit_and_forty_keys_get_one_certificate(tmp_path: Path) -> None:
    """Over HTTP, from forty computers, at two processes that know of each other through the database alone."""
    with nodes(tmp_path, 1, "postgresql", workers=2) as (node,):
        (holder,) = register(node, tmp_path, 1)
        asking = [
            Visitor(node, holder.contract_id, holder.user_id, f"127.1.2.{number + 1}", tmp_path) for number in range(40)
        ]
        clients = [visitor.client("public") for visitor in asking]
        gate = threading.Barrier(len(asking))
        answers: list[Answer] = []

        def ask(number: int) -> None:
            gate.wait()
            answers.append(asking[number].acquire(clients[number]))

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(asking))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted((answer.status, answer.code) for answer in answers) == [(200, "")] + [(409, "permit-spent")] * 39
        (der,) = [der for visitor in asking for der in visitor.acknowledged]
        with opened(node) as ports, ports.db.read() as tx:
            sql = "SELECT der FROM certificate_bytes JOIN certificates ON certificates.id = certificate_id "
            theirs = tx.exec_driver_sql(
                sql + "JOIN people ON people.id = person_id WHERE people.contract_id = %s", (holder.contract_id,)
            )
            assert [bytes(row[0]) for row in theirs] == [der]
            ordered = tx.exec_driver_sql(
                "SELECT count(*) FROM orders JOIN people ON people.id = person_id WHERE people.contract_id = %s",
                (holder.contract_id,),
            )
            assert ordered.scalar_one() == 1
        for visitor in asking:
            visitor.close()


def test_a_rolling_restart_under_load_fails_no_request(workers: Node, at: Visitors) -> None:
    keiri01 = workers.user("keiri01")
    kept = [at(workers, "user", keiri01) for _ in range(3)]
    logged_on = kept[0].log_on_user()
    assert logged_on.path == "/status"
    for person in kept[1:]:
        person.http.cookies.update(kept[0].http.cookies)

    def act(number: int) -> None:
        if number < len(kept):  # a browser that keeps its connection
            assert kept[number].get("/status").path == "/status"
        else:  # and one that comes anew each time
            visitor = at(workers, "user", keiri01, kept[0].http.cookies)
            assert visitor.get("/status").path == "/status"
            visitor.close()

    before = set(workers.worker_pids())
    with Load(act) as load:
        load.await_more(20)
        assert workers.process is not None
        os.kill(workers.process.pid, signal.SIGHUP)
        workers.await_log("every worker was replaced")
        load.await_more(20)
    assert load.failures == []
    assert before.isdisjoint(workers.worker_pids())


def test_a_worker_that_is_killed_is_replaced_and_the_others_go_on(workers: Node, at: Visitors) -> None:
    victim, survivor = workers.worker_pids()
    hard_kill(victim)
    workers.await_log("another is started")
    # While the new one starts, and after: every visitor is answered.
    for _ in range(20):
        visitor = at(workers, "public")
        assert visitor.get("/").status == 200
        visitor.close()
    wait_until(lambda: len(pids := workers.worker_pids()) == 2 and victim not in pids)
    assert survivor in workers.worker_pids()
    assert len(workers.worker_pids()) == 2


def test_workers_end_with_the_process_that_watches_over_them(workers: Node) -> None:
    pids = workers.worker_pids()
    workers.stop(signal.SIGKILL)
    wait_until(lambda: not [pid for pid in pids if Path(f"/proc/{pid}").exists()])
    workers.start()


# httpcore leaves a connection whose handshake was refused to the garbage collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
def test_a_choice_is_forgotten_whichever_worker_is_asked(workers: Node, at: Visitors) -> None:
    """The next handshake is refused, once, wherever it lands; connections from before are of no use."""
    keiri01 = workers.user("keiri01")
    others = [at(workers, "user", keiri01) for _ in range(6)]
    for person in others:
        assert person.get("/").status == 200
    chooser = at(workers, "user", keiri01)
    certificate = x509.load_pem_x509_certificate(Path(keiri01["certificate"]).read_bytes())
    form = chooser.get("/").hidden | {"shown": certificate.fingerprint(hashes.SHA256()).hex()}
    assert chooser.http.post("/choose-another", data=form).status_code == 204
    failures = []
    for person in others * 3:
        try:
            assert person.get("/").status == 200
        except httpx.TransportError as failure:
            failures.append(str(failure))
    gc.collect()
    assert len([failure for failure in failures if "alert bad certificate" in failure.lower()]) == 1
    for person in others:
        assert person.get("/").status == 200
