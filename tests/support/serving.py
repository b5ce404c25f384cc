"""`sekisho demo` with a clock that a test moves, a death at a step that a test names, and named templates.

Run as `python -m tests.support.serving DATA_DIR PORT_BASE`. While the file
`fault` beside the data folder names a step, the first process that reaches
it there appends it to `reached` and kills itself with SIGKILL.
While it names "bug", whatever reads the database fails as only a bug would.
`clock` beside it holds seconds by which the clock is ahead. Each page names
its template in the header `x-template`. With LOOSE in the environment no
commit waits for the disk, so that a test can see that it would notice. With
NO_WORKER nothing is done that nobody asked for: what a page shows is then
what the test has brought about, wherever it sets the clock.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sekisho.cli.failure import told

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from sekisho.usecases.ports import Db, Ports
    from sekisho.web.visit import Visit

LOOSE = "SEKISHO_TEST_LOOSE"
NO_WORKER = "SEKISHO_TEST_NO_WORKER"
STEPS = (
    "before tx 1",
    "after tx 1",
    "ca before signing",
    "ca after signing",
    "ca after its journal",
    "after tx 2",
    "before the answer",
)


class Fault:
    """Kills this process at the step that the file names."""

    def __init__(self, data_dir: Path) -> None:
        self._named = data_dir.with_name(data_dir.name + ".fault")
        self._reached = data_dir.with_name(data_dir.name + ".reached")

    def at(self, step: str) -> None:
        if self._named.exists() and self._named.read_text() == step:
            self._named.unlink()
            self._reached.write_text(step)
            os.kill(os.getpid(), signal.SIGKILL)

    def bug(self) -> None:
        if self._named.exists() and self._named.read_text() == "bug":
            raise LookupError("a bug that a test asked for")


class FaultyDb:
    """Knows the two transactions of an acquisition by the work that they do."""

    def __init__(self, db: Db, fault: Fault) -> None:
        self._db = db
        self._fault = fault

    def read(self) -> Any:
        self._fault.bug()
        return self._db.read()

    def write(self, work: Any) -> Any:
        return self._db.write(work)

    def holds_lead(self) -> bool:
        return self._db.holds_lead()

    def write_all(self, work: Any, items: Any) -> Any:
        number = {"_place": 1, "_store": 2}.get(work.__name__)
        if number is None:
            return self._db.write_all(work, items)
        if number == 1:
            self._fault.at("before tx 1")
        outcome = self._db.write_all(work, items)
        self._fault.at(f"after tx {number}")
        return outcome


class FaultyAnswer:
    """Dies when an enrolment is about to be answered."""

    def __init__(self, app: ASGIApp, fault: Fault) -> None:
        self._app = app
        self._fault = fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def late_send(message: Message) -> None:
            if message["type"] == "http.response.start" and scope["path"].endswith("/simpleenroll"):
                self._fault.at("before the answer")
            await send(message)

        await self._app(scope, receive, late_send)


def loosen(db: Any) -> None:
    """Answer before the disk has what was committed, as no installation ever may."""
    from sqlalchemy import event

    @event.listens_for(db.writing, "checkout")
    def sqlite(connection: Any, _record: object, _proxy: object) -> None:
        if db.writing.dialect.name == "sqlite":
            connection.execute("PRAGMA synchronous=OFF")

    @event.listens_for(db.writing, "begin")
    def postgresql(connection: Any) -> None:
        if db.writing.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL synchronous_commit = off")


def name_templates() -> None:
    from sekisho.web.visit import Visit

    page = Visit.page

    def named_page(self: Visit, template: str, **context: Any) -> Response:
        response = page(self, template, **context)
        response.headers["x-template"] = template
        return response

    Visit.page = named_page  # type: ignore[method-assign]


def clock_of(data_dir: Path) -> Callable[[], datetime]:
    clock = data_dir.with_name(data_dir.name + ".clock")

    def now() -> datetime:
        ahead = float(clock.read_text()) if clock.exists() else 0.0
        return datetime.now(UTC) + timedelta(seconds=ahead)

    return now


def main(data_dir: Path, port_base: int) -> None:
    from sekisho.cli import demo, running

    name_templates()
    fault = Fault(data_dir)
    now = clock_of(data_dir)

    def adapt(ports: Ports) -> Ports:
        if LOOSE in os.environ:
            loosen(ports.db)
        return replace(ports, db=FaultyDb(ports.db, fault), now=now)

    with told():
        settings = demo.prepare_folder(data_dir, port_base)
        tls_ca = demo.make_server_certificate(settings)

        def ready() -> None:
            print(json.dumps(demo.describe(settings, tls_ca), ensure_ascii=False), flush=True)  # noqa: T201 - the line is what is asked for

        running.serve(
            settings,
            ready,
            prepare=demo.fill(settings),
            adapt=adapt,
            around=lambda app: FaultyAnswer(app, fault),
            behind=NO_WORKER not in os.environ,
            ca_command=[sys.executable, "-m", "tests.support.serving", "ca", str(data_dir)],
        )


def faulty_ca(data_dir: Path) -> None:
    """Be the CA, dying before or after a signature where the test says so."""
    from sekisho import settings
    from sekisho.ca.journal import Journal
    from sekisho.ca.signer import Signer
    from sekisho.cli import running_ca

    fault = Fault(data_dir)
    sign, add = Signer.sign, Journal.add

    def dying_sign(self: Signer, order: Any) -> bytes:
        fault.at("ca before signing")
        der = sign(self, order)
        fault.at("ca after signing")
        return der

    def dying_add(self: Journal, drafts: Any) -> Any:
        known = add(self, drafts)
        fault.at("ca after its journal")
        return known

    Signer.sign = dying_sign  # type: ignore[method-assign]
    Journal.add = dying_add  # type: ignore[method-assign]
    with told():
        running_ca.run_ca(settings.load(data_dir), now=clock_of(data_dir))


if __name__ == "__main__":
    if sys.argv[1] == "ca":
        faulty_ca(Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]), int(sys.argv[2]))
