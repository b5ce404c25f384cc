"""PostgreSQL: many writers, several processes and nodes."""

from __future__ import annotations

import select
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, InvalidRequestError

from sekisho.domain.errors import Refusal
from sekisho.store.database import PATIENCE_S, Database
from sekisho.store.deadlines import Deadlines
from sekisho.store.presence import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import URL

_CONNECT_S = 5
# For which a visitor waits until a connection of ours comes free where the server has no room for another.
_ROOM_S = 4.0
# The same where none of ours works: one may just be made, or the server be on its way back.
_GRACE_S = 1.0
_JUST_NOW_S = 0.25
_STATEMENT_S = 10
_LOCK_S = 5
# For a whole transaction, whatever hangs: longer than each of its statements may take.
_TRANSACTION_S = 12.0
_READERS, _WRITERS = 20, 10  # one of the writers may keep the lead
# Numbers among PostgreSQL's advisory locks: the work that one process alone should do, and migrations.
_LEAD = 0x53454B49
_MIGRATION = 0x53454B4A


class PostgresDatabase(Database):
    """READ COMMITTED for what writes, one read-only snapshot for what reads.

    Who decides about a person holds the person's row first (`people.hold`);
    each statement after that sees what others have committed before. So no
    serialization failures are met in daily work, and what is met is retried.
    Every wait has a deadline: for a connection, a lock, a statement, a whole
    transaction, and for a server that does not answer at all.
    """

    def __init__(self, url: URL) -> None:
        super().__init__(
            _engine(url, _READERS, isolation_level="REPEATABLE READ", postgresql_readonly=True),
            _engine(url, _WRITERS, isolation_level="READ COMMITTED"),
        )
        self._deadlines = Deadlines()
        self._inside = 0
        self._worked_at = float("-inf")
        self._one_left = threading.Condition()
        self._lead_lock = threading.Lock()
        self._lead: Connection | None = None

    def change_tables(self, work: Callable[[Connection], None]) -> None:
        """Run a migration without deadlines, one at a time of all who would."""
        with self._told(Entry.WRITE), super()._connection(self.writing) as connection, connection.begin():
            for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
                connection.exec_driver_sql(f"SET LOCAL {name} = 0")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION})")
            work(connection)

    def holds_lead(self) -> bool:
        """Tell whether this process holds the lead, taking it where nobody does.

        The lead is an advisory lock of a connection: it falls to another when
        this process or its connection ends.
        """
        with self._lead_lock:
            try:
                return self._take_lead()
            except Refusal:
                # Who cannot see whether it holds the lead does not. A connection that may still hold it goes.
                self._drop_lead()
                return False
            except BaseException:
                self._drop_lead()
                raise

    def _take_lead(self) -> bool:
        with self._told(Entry.WRITE):
            if self._lead is None:
                self._lead = self._connect(self.writing)
            with self._deadlines.on(_descriptor(self._lead), _TRANSACTION_S):
                held = bool(self._lead.exec_driver_sql(_TAKE_LEAD).scalar_one())
                self._lead.commit()
        return held

    def close(self) -> None:
        """Give every connection back, the lead with it."""
        with self._lead_lock:
            self._drop_lead()
        super().close()
        self._deadlines.close()

    @contextmanager
    def _connection(self, engine: Engine) -> Iterator[Connection]:
        connection = self._connect(engine)
        with self._one_left:
            self._inside += 1
        try:
            with connection, self._deadlines.on(_descriptor(connection), _TRANSACTION_S):
                yield connection
                self._worked_at = time.monotonic()
        finally:
            with self._one_left:
                self._inside -= 1
                self._one_left.notify()

    def _connect(self, engine: Engine) -> Connection:
        """Connect; where the server has no room for another connection, one of ours may come free soon.

        One that takes its whole deadline to fail is not tried again.
        """
        began = time.monotonic()
        while True:
            lost: Exception
            try:
                return engine.connect()
            except DBAPIError as failure:
                lost = failure
            except InvalidRequestError as closed:
                # What the pool says where the one that it made anew was closed at once as well.
                lost = DisconnectionError(str(closed))
            now = time.monotonic()
            none_works = not self._inside and now - self._worked_at > _JUST_NOW_S
            if now - began > (_GRACE_S if none_works else _ROOM_S):
                raise lost
            with self._one_left:
                self._one_left.wait(_JUST_NOW_S)

    def _drop_lead(self) -> None:
        lead, self._lead = self._lead, None
        if lead is not None:
            lead.invalidate()
            lead.close()


# Asking again for what this connection holds already would count it twice, so it looks first.
_TAKE_LEAD = f"""
SELECT EXISTS (
  SELECT FROM pg_locks
  WHERE locktype = 'advisory' AND classid = 0 AND objid = {_LEAD} AND objsubid = 1 AND pid = pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
) OR pg_try_advisory_lock({_LEAD})
"""  # noqa: S608 - a number of our own


def read_url(text: str) -> URL:
    """Return the address of a PostgreSQL database. Raises ValueError, without what may be a password."""
    try:
        url = make_url(text)
    except ArgumentError:
        raise ValueError("is not an address such as postgresql://user@host/database") from None
    if url.get_backend_name() != "postgresql":
        raise ValueError(f"names {url.get_backend_name()}, and only postgresql:// is known")
    return url.set(drivername="postgresql+psycopg")


def _engine(url: URL, pool_size: int, **execution_options: Any) -> Engine:
    deadlines = {
        "statement_timeout": f"{_STATEMENT_S}s",
        "lock_timeout": f"{_LOCK_S}s",
        "idle_in_transaction_session_timeout": f"{_STATEMENT_S}s",
        # Never loosened by whoever set the server up: an answer stands on disk.
        "synchronous_commit": "on",
        "timezone": "UTC",
    }
    options = " ".join(f"-c {name}={value}" for name, value in deadlines.items())
    given = url.query.get("options")
    engine = create_engine(
        url,
        connect_args={
            "connect_timeout": _CONNECT_S,
            # A network that swallows everything: the kernel gives up (milliseconds).
            "tcp_user_timeout": _STATEMENT_S * 1000,
            "keepalives_idle": _STATEMENT_S,
            "application_name": "sekisho",
            "options": f"{given} {options}" if isinstance(given, str) else options,
        },
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=PATIENCE_S,
        pool_use_lifo=True,
        # What is in a statement is nobody's to read in a log.
        hide_parameters=True,
        execution_options=execution_options,
    )

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, _record: object, args: Any, kwargs: Any) -> Any:
        try:
            return dialect.connect(*args, **kwargs)
        except psycopg.Error as failure:
            # The trace names the frame of `psycopg.connect`, which names the failure and the half-made connection: a
            # circle. The server would hold a session for it until Python's collector came by.
            raise failure.with_traceback(None)  # noqa: B904 - the same failure

    @event.listens_for(engine, "checkout")
    def still_there(connection: Any, _record: object, _proxy: object) -> None:
        # A connection that waits in the pool has nothing to say but that it has ended.
        poll = select.poll()
        poll.register(connection.pgconn.socket, select.POLLIN)
        if poll.poll(0):
            raise DisconnectionError("the server has closed the connection")

    return engine


def _descriptor(connection: Connection) -> int:
    descriptor: int = connection.connection.driver_connection.pgconn.socket  # type: ignore[union-attr]
    return descriptor
