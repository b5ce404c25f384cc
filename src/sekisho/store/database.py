"""The database: one entry for what only reads, one for what writes.

    Database
    ├── SqliteDatabase       one file, one writer: the embedded default
    └── PostgresDatabase     a server, many writers

Both mean the same: an answer comes after its COMMIT was flushed, a change
that is refused leaves nothing behind, and whoever waits is told in time.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from sekisho.domain.errors import StoreAway
from sekisho.store import failures
from sekisho.store.presence import Entry, Presence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Connection, Engine

    Outcome = TypeVar("Outcome")
    Item = TypeVar("Item")

# A visitor who waited this long is better told to come back.
PATIENCE_S = 15.0
_TRIES = 5
# What took this long to fail is not tried again: the visitor has waited enough.
_RETRY_S = 4.0


class Database(ABC):
    """What both databases have in common: the entries, and when to try again."""

    def __init__(self, reading: Engine, writing: Engine) -> None:
        self.reading = reading
        self.writing = writing
        self.presence = Presence()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that sees one state of the database and changes nothing."""
        with self._told(Entry.READ), self._connection(self.reading) as connection, connection.begin():
            yield connection

    def write(self, work: Callable[[Connection], Outcome]) -> Outcome:
        """Run `work` in a transaction of its own and return what it returns, once that is committed and flushed.

        `work` may run more than once: where the database asks for it (a
        deadlock, a serialization failure, a connection that was lost before
        the COMMIT), it starts anew on what stands then. What it raises undoes
        all that it did.
        """
        with self._told(Entry.WRITE):
            return self._retried(lambda: self._commit(work))

    def write_all(
        self, work: Callable[[Connection, Sequence[Item]], Sequence[Outcome | Exception]], items: Sequence[Item]
    ) -> list[Outcome | Exception]:
        """Have `work` done for many items in one transaction, and return an outcome for each, in their order.

        `work` takes many items and returns an outcome for each. Where it
        fails, it is tried again for one after the other, each in a savepoint,
        so that an item that fails fails alone. Never for counts of misses:
        each guess is judged in a transaction of its own.
        """
        try:
            return self.write(lambda tx: list(work(tx, items)))
        except Exception as failure:
            if failures.ends_all(failure) or len(items) == 1:
                raise
        return self.write(lambda tx: [_alone(tx, work, item) for item in items])

    def change_tables(self, work: Callable[[Connection], None]) -> None:
        """Run a migration: like `write`, alone on the database and for as long as it takes."""
        self.write(work)

    @abstractmethod
    def holds_lead(self) -> bool:
        """Tell whether, of all processes on this database, this one does the work that one alone should do."""

    def close(self) -> None:
        """Give every connection back."""
        self.reading.dispose()
        self.writing.dispose()

    def _commit(self, work: Callable[[Connection], Outcome]) -> Outcome:
        with self._connection(self.writing) as connection:
            with connection.begin() as transaction:
                outcome = work(connection)
                with failures.of_commit():
                    transaction.commit()
            return outcome

    def _retried(self, attempt: Callable[[], Outcome]) -> Outcome:
        began = time.monotonic()
        for tries_left in reversed(range(_TRIES)):
            try:
                return attempt()
            except Exception as failure:
                too_late = not tries_left or time.monotonic() - began > _RETRY_S
                if too_late or not failures.may_be_tried_again(failure):
                    raise
                failures.pause(_TRIES - tries_left)
        raise AssertionError  # the last try returns or raises

    @contextmanager
    def _connection(self, engine: Engine) -> Iterator[Connection]:
        with engine.connect() as connection:
            yield connection

    @contextmanager
    def _told(self, entry: Entry) -> Iterator[None]:
        """Turn what a visitor can be told about the database into its refusal, and note whether it is there.

        Raises `StoreAway` at once where it is known not to be.
        """
        self.presence.enter()
        try:
            yield
        except Exception as failure:
            refusal = failures.refusal_of(failure)
            if refusal is None or refusal is failure:
                self.presence.worked(entry)  # a rule, or a bug, and not the database
                raise
            if isinstance(refusal, StoreAway):
                self.presence.failed(entry, failures.line(failure), unreachable=failures.is_unreachable(failure))
            elif failures.is_answered(failure):
                self.presence.reached()
            raise refusal from failure
        else:
            self.presence.worked(entry)


def _alone(
    tx: Connection, work: Callable[[Connection, Sequence[Item]], Sequence[Outcome | Exception]], item: Item
) -> Outcome | Exception:
    savepoint = tx.begin_nested()
    try:
        outcome = work(tx, [item])[0]
    except Exception as failure:
        if failures.ends_all(failure):
            # With the whole transaction: on a full disk SQLite has undone it already, its savepoints with it.
            raise
        savepoint.rollback()
        return failure
    savepoint.commit()
    return outcome
