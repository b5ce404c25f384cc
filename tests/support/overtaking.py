"""Somebody decides first, and whoever waits for the same people finds what was decided."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from sqlalchemy import text
from tests.support.patience import wait_until

from sekisho.store import people
from sekisho.store.postgresql import PostgresDatabase

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.world import World

_WAITING = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def overtaken(bank: World, changes: list[str], act: Callable[[], object]) -> None:
    """Begin `act` while another transaction holds everybody; end that one with `changes` once `act` waits for it.

    What `act` raises is raised. SQLite has one writer: there `act` begins after the other.
    """
    db = bank.db
    with ThreadPoolExecutor(1) as pool:
        with db.writing.begin() as other:
            people.lock(other, list(other.scalars(text("SELECT id FROM people"))))
            done = pool.submit(act)
            if isinstance(db, PostgresDatabase):
                wait_until(lambda: done.done() or bank.rows(_WAITING))
            for one in changes:
                other.execute(text(one))
        done.result()
