"""SQLite in one file: the embedded default."""

from __future__ import annotations

import fcntl
import threading
from typing import TYPE_CHECKING, Any, BinaryIO

from sqlalchemy import Connection, Engine, create_engine, event

from sekisho.store.database import PATIENCE_S, Database

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_READERS = 40
# Rows with random keys touch pages all over the file. Written back to it after every 32 MiB of the log instead of 4,
# a page that changed often is written once; the writer finds more of them in its own memory (64 MiB).
_FOR_THE_WRITER = ("wal_autocheckpoint=8192", "cache_size=-65536")


class SqliteDatabase(Database):
    """WAL, every commit flushed (synchronous=FULL), one writer, many readers.

    Writers of this process wait in the pool's queue for the only writing
    connection, in the order in which they came; SQLite's own waiting, which
    is left for writers of other processes, polls and starves. Every write is
    a BEGIN IMMEDIATE: a plain BEGIN that turns into a write fails at once
    when another has written since.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        super().__init__(
            _engine(file, "BEGIN", pool_size=_READERS),
            _engine(file, "BEGIN IMMEDIATE", pool_size=1, pragmas=_FOR_THE_WRITER),
        )
        self._lead_lock = threading.Lock()
        self._lead: BinaryIO | None = None

    def holds_lead(self) -> bool:
        """Tell whether this process holds the lead, taking it where nobody does.

        The lead is a lock on a file beside the database. It falls to another
        process when this one ends.
        """
        with self._lead_lock:
            if self._lead is None:
                lead = self.file.with_name(f"{self.file.name}.lead").open("ab")
                try:
                    fcntl.flock(lead, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    lead.close()
                    return False
                self._lead = lead
            return True

    def close(self) -> None:
        """Give every connection back, the lead with it."""
        with self._lead_lock:
            if self._lead is not None:
                self._lead.close()
                self._lead = None
        super().close()


def _engine(file: Path, begin: str, *, pool_size: int, pragmas: Sequence[str] = ()) -> Engine:
    engine = create_engine(
        f"sqlite+pysqlite:///{file}",
        connect_args={"check_same_thread": False, "timeout": PATIENCE_S},
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=PATIENCE_S,
        # Every entry ends its transaction itself; see "checkin" below for the one that cannot.
        pool_reset_on_return=None,
        # What is in a statement is nobody's to read in a log.
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: object) -> None:
        # The driver's own BEGINs would come late and be deferred; ours come from "begin" below.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF", *pragmas):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "checkin")
    def finish(connection: Any, _record: object) -> None:
        # A COMMIT that the disk had no room for leaves its transaction open.
        if connection is not None and connection.in_transaction:
            connection.rollback()

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
