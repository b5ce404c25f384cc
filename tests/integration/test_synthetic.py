"""The bench's bank in its years stands as the product would have left it."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.support.staff import Office
from tests.support.world import BANK, world

from sekisho.bench import pages, synthetic
from sekisho.domain.staff import Role
from sekisho.usecases.keep_tallies import add_up
from sekisho.usecases.read_overview import read_overview
from sekisho.usecases.search_audit import Wanted, search_audit

if TYPE_CHECKING:
    from pathlib import Path

PEOPLE = 1000


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_days_are_found_among_its_audit_rows_and_all_of_them_were_counted(engine: str, tmp_path: Path) -> None:
    with world(tmp_path, engine) as bank:
        now = bank.clock[0]
        synthetic.fill(
            bank.db,
            PEOPLE,
            bank=BANK.code,
            verifiers={"pin": "x" * 97},
            der=os.urandom(800),
            spki=os.urandom(91),
            now=now,
            say=lambda _line: None,
            first=1001,
        )
        pages.count(bank.db, BANK.code, now)
        bank.later(minutes=2)
        assert add_up(bank.ports) == 0, "the worker has nothing to do"
        auditor = Office(bank).add("kansa01", Role.AUDITOR).at_work()
        overview = read_overview(bank.ports, staff=auditor.staff)
        assert min(number for _, number in overview.ends[1:]) > 0
        assert min(overview.logons) > 0

        told = [row.at for row in bank.rows("SELECT at FROM audit WHERE actor = 'synthetic' ORDER BY id")]
        assert len(told) == 2 * PEOPLE
        assert told == sorted(told)
        for days in (95, 50, 3):
            since = now - timedelta(days=days)
            wanted = Wanted(since=since, until=since + timedelta(days=1))
            found = search_audit(bank.ports, at_work=auditor, wanted=wanted).rows
            assert 15 <= len(found) <= 25, "two for each of a thousand, over a hundred days"
