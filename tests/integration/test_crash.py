"""J3: a crash between any two steps neither burns the permit nor gives a second certificate."""

from __future__ import annotations

import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest
from tests.support.crowd import opened
from tests.support.est_client import enroll, new_key
from tests.support.patience import PATIENCE_S, wait_until
from tests.support.postgres import shared_cluster
from tests.support.served import Served, free_port_base
from tests.support.serving import STEPS

from sekisho.settings import DATABASE_URL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def served(tmp_path: Path, engine: str) -> Iterator[Served]:
    name = shared_cluster().new_database() if engine == "postgresql" else None
    env = {} if name is None else {DATABASE_URL: shared_cluster().url(name)}
    one = Served(tmp_path / "data", free_port_base(), env=env)
    one.start()
    yield one
    one.stop()
    if name is not None:
        shared_cluster().drop_database(name)


def certificates_of_keiri02(served: Served) -> list[bytes]:
    sql = (
        "SELECT der FROM certificate_bytes JOIN certificates ON certificates.id = certificate_id "
        "JOIN people ON people.id = person_id WHERE user_key = 'keiri02'"
    )
    with opened(served) as ports, ports.db.read() as tx:
        return [bytes(row[0]) for row in tx.exec_driver_sql(sql)]


@pytest.mark.parametrize("step", STEPS)
def test_sigkill_loses_nothing_and_gives_no_second_certificate(served: Served, tmp_path: Path, step: str) -> None:
    key, other = new_key(tmp_path, "new"), new_key(tmp_path, "other")
    person = served.user("keiri02")
    served.die_at(step)
    first = enroll(served, key, person)
    assert served.reached == step, "the step was never reached, so nothing was shown"
    if step.startswith("ca "):
        # The CA died alone: the order waits, the visitor is told to ask again, and the site starts another CA.
        assert (first.status, first.code) == (202, "ca-away")
        assert int(first.headers["retry-after"]) > 0
        again = first
        deadline = time.monotonic() + PATIENCE_S
        while again.status == 202 and time.monotonic() < deadline:
            again = enroll(served, key, person)
    else:
        assert first.status == 0, "nothing was answered"
        assert served.ended() == -signal.SIGKILL
        served.start()
        again = enroll(served, key, person)
    assert again.status == 200
    der = key.save(again)
    assert key.save(enroll(served, key, person)) == der, "the same key gets the same bytes"
    refused = enroll(served, other, person)
    assert (refused.status, refused.code) == (409, "permit-spent")
    assert certificates_of_keiri02(served) == [der]


def test_an_order_that_nobody_asks_for_again_is_finished_by_the_operator(served: Served, tmp_path: Path) -> None:
    key = new_key(tmp_path, "new")
    served.die_at("after tx 1")
    enroll(served, key, served.user("keiri02"))
    assert served.reached == "after tx 1"
    served.ended()
    assert certificates_of_keiri02(served) == []
    served.start()
    done = served.sekisho("orders", "resume", "--json")
    assert (done.returncode, done.stdout.strip()) == (0, '{"finished": 1}')
    ders = certificates_of_keiri02(served)
    assert len(ders) == 1
    assert key.save(enroll(served, key, served.user("keiri02"))) == ders[0]


def test_the_ca_ends_with_the_process_that_started_it(served: Served) -> None:
    address = str(served.data_dir / "run" / "ca.sock")

    def gone() -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(0.05)
            try:
                probe.connect(address)
                probe.recv(1)
            except (ConnectionRefusedError, FileNotFoundError):
                return True
            except OSError:  # on its way out
                return False
        return False

    served.stop(signal.SIGKILL)
    wait_until(gone, lambda: "the CA still answers")
