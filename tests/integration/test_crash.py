"""J3: a crash between any two steps neither burns the permit nor gives a second certificate."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from tests.support.est_client import enroll, new_key
from tests.support.served import Served, free_port_base
from tests.support.serving import STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    one = Served(tmp_path / "data", free_port_base())
    one.start()
    yield one
    one.stop()


def certificates_of_keiri02(served: Served) -> list[bytes]:
    with closing(sqlite3.connect(served.data_dir / "sekisho.db")) as db:
        sql = (
            "SELECT der FROM certificate_bytes JOIN certificates ON certificates.id = certificate_id "
            "JOIN people ON people.id = person_id WHERE user_key = 'keiri02'"
        )
        return [row[0] for row in db.execute(sql)]


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
        for _ in range(100):
            again = enroll(served, key, person)
            if again.status != 202:
                break
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
    import socket

    address = str(served.data_dir / "run" / "ca.sock")
    served.stop(signal.SIGKILL)
    for _ in range(200):
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.settimeout(0.05)
                probe.connect(address)
            except (ConnectionRefusedError, FileNotFoundError):
                break
            probe.recv(1)
    else:
        pytest.fail("the CA still answers")
