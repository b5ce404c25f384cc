"""`sekisho worker`: one of all who would does the work, and ends cleanly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select
from tests.support.mail_server import USER, mail_server
from tests.support.patience import PATIENCE_S, wait_until
from tests.support.served import ROOT, Served, free_port_base

from sekisho import settings
from sekisho.cli import exit_codes
from sekisho.settings import MailSettings
from sekisho.store import notices, tables
from sekisho.store.sqlite import SqliteDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a demo that leaves the work to others."""
    folder = tmp_path_factory.mktemp("worker")
    demo = Served(folder / "data", free_port_base())
    demo.start()
    demo.stop()
    argv = [sys.executable, "-m", "tests.support.no_worker", str(demo.data_dir)]
    one = Served(demo.data_dir, demo.port_base, argv=argv)
    one.start()
    one.info = demo.info
    yield one
    one.stop()


def test_a_file_has_one_leader_and_the_next_when_that_one_ends(tmp_path: Path) -> None:
    first, second = (SqliteDatabase(tmp_path / "sekisho.db") for _ in range(2))
    assert first.holds_lead()
    assert first.holds_lead(), "it keeps it"
    assert not second.holds_lead()
    first.close()
    assert second.holds_lead()
    second.close()


def test_the_worker_does_what_serve_leaves_and_tells_what_it_did(served: Served, tmp_path: Path) -> None:
    """Mails go to a mail server that is away first; several workers run, one works, and the next takes over."""
    tell_everybody(served)
    with mail_server(tmp_path) as server:
        changed = settings.load(served.data_dir).model_copy(
            update={
                "mail": MailSettings(
                    server=f"smtp://localhost:{server.port}",
                    sender="no-reply@mihon.example",
                    authorities=server.certificate,
                    user=USER,
                    password_file=tmp_path / "mail-password",
                )
            }
        )
        changed.save()
        server.stop()

        def once() -> tuple[int, dict[str, Any]]:
            done = served.sekisho("worker", "--once", "--json")
            lines = [json.loads(line) for line in done.stdout.splitlines()]
            return done.returncode, {line.get("job", "lead"): line for line in lines}

        code, told = once()
        assert code == exit_codes.WORK_LEFT
        assert "cannot be used" in told["mails"]["waits_for"]
        assert {name for name, line in told.items() if line["waits_for"] or line["failed"]} == {"mails"}
        waiting = served.sekisho("mails", "list", "--json").stdout.splitlines()
        assert len(waiting) >= 3
        assert {json.loads(line)["tries"] for line in waiting} == {0}

        server.start()
        server.refusals["kanri@example.com"] = ["550 5.1.1 no such mailbox"]
        workers = [start_worker(served) for _ in range(2)]
        try:
            wait_until(lambda: not served.sekisho("mails", "list", "--json").stdout)
            assert once() == (0, {"lead": {"lead": False}})
            (lost,) = [
                json.loads(line) for line in served.sekisho("mails", "list", "--given-up", "--json").stdout.splitlines()
            ]
            assert lost["said"] == "550 5.1.1 no such mailbox"
            assert lost["user_id"] is None
            for worker in workers:
                worker.send_signal(signal.SIGTERM)
                assert worker.wait(PATIENCE_S) == 0
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
        assert served.sekisho("mails", "retry").returncode == exit_codes.USAGE
        again = served.sekisho("mails", "retry", str(lost["notice"]), "--json")
        assert json.loads(again.stdout)["state"] == "waiting"
        code, told = once()
        assert (code, told["mails"]["done"]) == (0, 1)
        ids = [str(mail["Message-ID"]) for mail in server.taken]
        # The administrator of the contract that waits for its opening has no mail address yet.
        contract_id = served.info["contract"]["contract_id"]
        with_address = [one for one in map(json.loads, waiting) if one["contract_id"] == contract_id]
        assert len(ids) == len(set(ids)) == len(with_address)


def tell_everybody(served: Served) -> None:
    db = SqliteDatabase(settings.load(served.data_dir).database)

    def tell(tx: Any) -> None:
        for person_id in list(tx.scalars(select(tables.people.c.id))):
            notices.add(tx, person_id, "logon-new-certificate", datetime.now(UTC))

    db.write(tell)
    db.close()


def start_worker(served: Served) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "sekisho", "worker", "--data-dir", str(served.data_dir)],
        cwd=ROOT,
        env=os.environ | served.env,
    )


def test_json_goes_with_once(served: Served) -> None:
    assert served.sekisho("worker", "--json").returncode == exit_codes.USAGE
