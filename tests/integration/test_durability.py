"""No answer to an acquisition or a logon leaves the server before its commit is on the disk.

Seen from outside, by strace, in what the processes ask of the kernel: the
rows written, the flush, the answer on the visitor's connection, in this order.
"""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, TypeAlias

import pytest
from tests.support.crowd import Visitor, register
from tests.support.postgres import Cluster
from tests.support.served import Served, free_port_base
from tests.support.serving import LOOSE
from tests.support.trace import Call, Trace

from sekisho.settings import DATABASE_URL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    Judge: TypeAlias = "Callable[[Stage, str, Visitor, list[bytes]], None]"
    StageOf: TypeAlias = "tuple[Callable[..., Stage], Judge]"

_AT_ONCE = 12


class NotFlushed(AssertionError):  # noqa: N818 - names what is the case
    """An answer went out first."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    made = Cluster(flushes=True)
    yield made
    made.remove()


class Stage:
    """A served installation, the processes that write its database, and who comes."""

    def __init__(self, served: Served, pids: Callable[[], Sequence[int]], folder: Path, count: int) -> None:
        self.served = served
        self.folder = folder
        self.visitors = register(served, folder, count)
        self._pids = pids
        self.calls: list[Call] = []

    def watch(self, act: Callable[[Visitor], None]) -> None:
        """Have all visitors do something at once, followed by strace."""
        with Trace(self.folder / "trace", self._pids()) as trace:
            threads = [threading.Thread(target=act, args=(visitor,)) for visitor in self.visitors]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            # strace writes a call down once it has ended, when its visitor may have long been served. One thread
            # answers all, so what it does for one more question is written down after everything before.
            assert self.visitors[0].client("public").get("/static/base.css").status_code == 200
        # Only now: a connection that is closed says so on the same socket as its answers.
        for visitor in self.visitors:
            visitor.close()
        self.calls = trace.calls

    def answer(self, visitor: Visitor, act: str) -> Call:
        """Return the first of the answer to the last request of a visitor's connection.

        Known by its address and port: two addresses may have the same port.
        """
        end = f"->{visitor.address}:{visitor.ports[act]}]"
        mine = [call for call in self.calls if call.about.endswith(end) and call.result > 0]
        asked = max(call.ended for call in mine if call.name == "recvfrom")
        return next(call for call in mine if call.name in {"sendto", "write"} and call.begun > asked)


@pytest.fixture(params=["sqlite", "postgresql"])
def stage_of(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StageOf]:
    """Return how a stage is set up, and how it is judged that something was on the disk before it was answered."""
    made: list[Served] = []

    def set_up(count: int, *, loose: bool = False) -> Stage:
        env = {LOOSE: "1"} if loose else {}
        cluster = None
        if request.param == "postgresql":
            cluster = request.getfixturevalue("cluster")
            env[DATABASE_URL] = cluster.url(cluster.new_database())
        made.append(Served(tmp_path / "data", free_port_base(), env=env))
        made[-1].start()
        process = made[-1].process
        assert process is not None
        return Stage(made[-1], lambda: [process.pid, *([] if cluster is None else cluster.pids())], tmp_path, count)

    yield set_up, {"sqlite": judge_sqlite, "postgresql": judge_postgresql}[request.param]
    for served in made:
        served.stop()


def judge_sqlite(stage: Stage, act: str, visitor: Visitor, pieces: list[bytes]) -> None:
    """See the rows go into the write-ahead log, and the same thread flush it, before the answer begins."""
    log = [call for call in stage.calls if call.about.endswith("sekisho.db-wal")]
    written = next(call for call in log if call.name.startswith("pwrite") and _holds(call, pieces))
    answer = stage.answer(visitor, act)
    flushes = [
        call
        for call in log
        if call.name in {"fdatasync", "fsync"}
        and call.pid == written.pid
        and written.ended < call.begun
        and call.ended < answer.begun
        and call.result == 0
    ]
    if not flushes:
        raise NotFlushed(f"{act} of {visitor.user_id}")


def judge_postgresql(stage: Stage, act: str, visitor: Visitor, pieces: list[bytes]) -> None:
    """See the session with the rows asked to commit, the log flushed, COMMIT said, and then the answer begin.

    The flush may be another session's, which flushes for all who wait; but it
    begins after this one was asked, else it does not hold its commit.
    """
    answer = stage.answer(visitor, act)
    pieces = [*pieces, *(piece.hex().encode() for piece in pieces)]
    given = next(call for call in stage.calls if call.name == "recvfrom" and _is_session(call) and _holds(call, pieces))
    session = [call for call in stage.calls if call.pid == given.pid and call.begun > given.begun and _is_session(call)]
    asked = next(call for call in session if call.name == "recvfrom" and b"COMMIT" in call.content)
    said = next(call for call in session if call.name == "sendto" and call.begun > asked.ended)
    assert b"COMMIT" in said.content
    assert said.begun < answer.begun
    flushes = [
        call
        for call in stage.calls
        if call.name in {"fdatasync", "fsync"}
        and "/pg_wal/" in call.about
        and asked.ended < call.begun
        and call.ended < said.begun
        and call.result == 0
    ]
    if not flushes:
        raise NotFlushed(f"{act} of {visitor.user_id}")


def _is_session(call: Call) -> bool:
    return ".s.PGSQL." in call.about


def _holds(call: Call, pieces: Sequence[bytes]) -> bool:
    return any(piece in call.content for piece in pieces)


def acquire_and_log_on(visitor: Visitor) -> None:
    public = visitor.client("public")
    assert public.get("/static/base.css").status_code == 200  # the handshake is over and done with
    assert visitor.acquire(public).status == 200
    assert visitor.log_on().code == ""


def judge_all(stage: Stage, judge: Judge) -> list[str]:
    """Return whose answers went out before their commits were on the disk."""
    early = []
    for visitor in stage.visitors:
        (der,), (token,) = visitor.acknowledged, visitor.tokens
        digest = hashlib.sha256(token).digest()
        # In pieces, of which one is whole wherever a page of the database ends; the certificate's own signature,
        # since its key stands in the order already.
        signature = [der[at : at + 16] for at in range(len(der) - 48, len(der), 16)]
        for act, pieces in (("acquire", signature), ("log on", [digest[:16], digest[16:]])):
            try:
                judge(stage, act, visitor, pieces)
            except NotFlushed as told:
                early.append(str(told))
    return early


@pytest.mark.parametrize("count", [1, _AT_ONCE], ids=["alone", "in a crowd"])
def test_no_answer_precedes_the_flush_of_its_commit(stage_of: StageOf, count: int) -> None:
    set_up, judge = stage_of
    stage = set_up(count)
    stage.watch(acquire_and_log_on)
    assert judge_all(stage, judge) == []


def test_an_installation_that_does_not_flush_would_be_noticed(stage_of: StageOf) -> None:
    set_up, judge = stage_of
    stage = set_up(3, loose=True)
    stage.watch(acquire_and_log_on)
    assert len(judge_all(stage, judge)) >= 3
