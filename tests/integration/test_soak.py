"""The long ones: what one passing run could owe to luck."""

from __future__ import annotations

import random
import signal
import threading
from typing import TYPE_CHECKING

import pytest
from tests.support.crowd import opened
from tests.support.est_client import Answer, enroll, new_key
from tests.support.postgres import shared_cluster
from tests.support.served import Served, free_port_base
from tests.support.world import KEIRI01, new_csr, world

from sekisho.domain.errors import Refusal
from sekisho.settings import DATABASE_URL

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.soak
# An enrolment takes about this long here: two argon2 checks, two commits and a signature.
_SPREAD_S = 0.15


@pytest.mark.parametrize("seed", range(20))
def test_sigkill_at_any_moment_of_an_acquisition(tmp_path: Path, engine: str, seed: int) -> None:
    """Not at the named steps of test_crash.py, but whenever it happens to come."""
    name = shared_cluster().new_database() if engine == "postgresql" else None
    env = {} if name is None else {DATABASE_URL: shared_cluster().url(name)}
    served = Served(tmp_path / "data", free_port_base(), env=env)
    served.start()
    try:
        person, key = served.user("keiri02"), new_key(tmp_path, "new")
        answers: list[Answer] = []
        asking = threading.Thread(target=lambda: answers.append(enroll(served, key, person)))
        asking.start()
        asking.join(random.Random(seed).uniform(0, _SPREAD_S))
        served.stop(signal.SIGKILL)
        asking.join()
        served.start()
        again = enroll(served, key, person)
        assert again.status == 200
        der = key.save(again)
        if answers[0].status == 200:
            assert key.save(answers[0]) == der, "what was answered before the crash is what stands"
        assert enroll(served, new_key(tmp_path, "other"), person).code == "permit-spent"
        with opened(served) as ports, ports.db.read() as tx:
            sql = (
                "SELECT der FROM certificate_bytes JOIN certificates ON certificates.id = certificate_id "
                "JOIN people ON people.id = person_id WHERE user_key = 'keiri02'"
            )
            assert [bytes(row[0]) for row in tx.exec_driver_sql(sql)] == [der]
    finally:
        served.stop()
        if name is not None:
            shared_cluster().drop_database(name)


@pytest.mark.parametrize("round_number", range(40))
def test_forty_at_once_again_and_again(tmp_path: Path, round_number: int) -> None:
    with world(tmp_path) as bank:
        csrs = [new_csr() for _ in range(40)]
        outcomes: list[str] = []
        gate = threading.Barrier(len(csrs))

        def ask(index: int) -> None:
            gate.wait()
            try:
                outcomes.append(f"{bank.acquire(KEIRI01, csrs[index]).serial:x}")
            except Refusal as refusal:
                outcomes.append(refusal.code)

        threads = [threading.Thread(target=ask, args=(index,)) for index in range(len(csrs))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outcomes.count("permit-spent") == 39, f"round {round_number}: {outcomes}"
        assert bank.rows("SELECT count(*) AS n FROM certificates")[0].n == 1
