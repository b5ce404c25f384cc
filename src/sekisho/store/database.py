"""The database: one entry for what writes, one for what only reads."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import TimeoutError as PoolTimeout

from sekisho.domain.errors import TooManyRequests

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A visitor who waited this long for the one writer is better told to come back.
_PATIENCE_S = 15.0


class Database:
    """SQLite in one file: WAL, every commit flushed, one writer, many readers.

    Writers wait in the pool's queue for the only writing connection, in the
    order in which they came; SQLite's own waiting polls and starves. Every
    write is a BEGIN IMMEDIATE: a plain BEGIN that turns into a write fails at
    once when another has written since.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._writer = _engine(file, "BEGIN IMMEDIATE", pool_size=1)
        self._readers = _engine(file, "BEGIN", pool_size=40)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that writes; it commits when the block ends and rolls back when it raises."""
        try:
            connection = self._writer.connect()
        except PoolTimeout as timeout:
            raise TooManyRequests from timeout
        with connection, connection.begin():
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that sees one state of the database and changes nothing."""
        try:
            connection = self._readers.connect()
        except PoolTimeout as timeout:
            raise TooManyRequests from timeout
        with connection, connection.begin():
            yield connection

    @property
    def writer(self) -> Engine:
        """The engine that writes, for migrations."""
        return self._writer

    def close(self) -> None:
        """Give every connection back."""
        self._readers.dispose()
        self._writer.dispose()


def _engine(file: Path, begin: str, *, pool_size: int) -> Engine:
    engine = create_engine(
        f"sqlite+pysqlite:///{file}",
        connect_args={"check_same_thread": False, "timeout": _PATIENCE_S},
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=_PATIENCE_S,
        # Both entries end their transaction themselves: there is never anything to roll back.
        pool_reset_on_return=None,
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: object) -> None:
        # The driver's own BEGINs would come late and be deferred; ours come from "begin" below.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
