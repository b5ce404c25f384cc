"""What a database's failures mean: try again, tell the visitor, or a bug."""

from __future__ import annotations

import random
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from sekisho.domain.errors import Refusal, StoreAway, TooManyRequests

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAUSE_S = 0.05
# PostgreSQL's SQLSTATE (appendix A): serialization_failure and deadlock_detected.
_UNLUCKY = {"40001", "40P01"}
# Operator intervention: a shutdown, a crash, a failover; a session that waited too long; and too many connections.
_GOING_AWAY = {"57P01", "57P02", "57P03", "57P05", "25P03", "53300"}
# Disk full, out of memory, the disk fails, read-only (a standby), lock and statement deadlines.
_CANNOT_NOW = {"53100", "53200", "58030", "25006", "55P03", "57014"}
# SQLite's words: its driver has error codes by name from Python 3.11 on.
_SQLITE_BUSY = {"SQLITE_BUSY", "SQLITE_LOCKED"}
_SQLITE_CANNOT_NOW = {"SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_NOMEM"}


class CommitUnknown(Exception):  # noqa: N818 - names what is the case
    """The connection was lost during COMMIT: the change stands or does not, and nobody can tell yet."""


@contextmanager
def of_commit() -> Iterator[None]:
    """Tell a connection that is lost during the block from one that was lost before: it is never tried again.

    A server that is shut down in the middle of a COMMIT may have flushed it already.
    """
    try:
        yield
    except DBAPIError as failure:
        if _is_disconnect(failure) or _state(failure) in _GOING_AWAY:
            raise CommitUnknown from failure
        raise


def ends_all(failure: Exception) -> bool:
    """Tell whether a failure is the database's, and would meet whatever is done next as well."""
    if isinstance(failure, Refusal):
        return isinstance(failure, (StoreAway, TooManyRequests))
    return refusal_of(failure) is not None


def may_be_tried_again(failure: Exception) -> bool:
    """Tell whether nothing was changed and the same work may succeed a moment later."""
    if isinstance(failure, DisconnectionError):
        return True
    return isinstance(failure, DBAPIError) and (_state(failure) in _UNLUCKY | _GOING_AWAY or _is_disconnect(failure))


def is_unreachable(failure: Exception) -> bool:
    """Tell whether the database was not there at all: whoever asks next would wait for the same."""
    if isinstance(failure, (CommitUnknown, DisconnectionError)):
        return True
    return isinstance(failure, DBAPIError) and (_state(failure) in _GOING_AWAY or _is_disconnect(failure))


def is_answered(failure: Exception) -> bool:
    """Tell whether the database itself said what went wrong, and not the pool that nothing came free in time."""
    return isinstance(failure, DBAPIError) and not is_unreachable(failure)


def line(failure: BaseException) -> str:
    """Return what a log may hold of a failure: the first line alone, since what follows may be values."""
    if isinstance(failure, CommitUnknown) and failure.__cause__ is not None:
        failure = failure.__cause__
    return str(getattr(failure, "orig", None) or failure).strip().splitlines()[0]


def pause(tries: int) -> None:
    """Wait before the next try, longer each time and not in step with others."""
    time.sleep(random.uniform(0.2, 1) * _PAUSE_S * 2**tries)  # noqa: S311 - no secret


def refusal_of(failure: Exception) -> Refusal | None:
    """Return what the visitor is told, or None where the failure is none that a visitor can be told of."""
    if isinstance(failure, Refusal):
        return failure
    if isinstance(failure, PoolTimeout):
        return TooManyRequests()
    if is_unreachable(failure):
        return StoreAway()
    if isinstance(failure, DBAPIError):
        state = _state(failure)
        if state in _UNLUCKY | _SQLITE_BUSY:
            return TooManyRequests()
        if state in _CANNOT_NOW | _SQLITE_CANNOT_NOW:
            return StoreAway()
    return None


def _state(failure: DBAPIError) -> str:
    """Return PostgreSQL's SQLSTATE, or SQLite's primary error name, or nothing."""
    orig = failure.orig
    state = getattr(orig, "sqlstate", None) or getattr(orig, "sqlite_errorname", None) or ""
    return "_".join(state.split("_")[:2]) if state.startswith("SQLITE_") else state


def _is_disconnect(failure: DBAPIError) -> bool:
    # Class 08 is "connection exception"; without any state the server could not even be asked.
    state = _state(failure)
    return failure.connection_invalidated or state.startswith("08") or (not state and _is_operational(failure))


def _is_operational(failure: DBAPIError) -> bool:
    return type(failure.orig).__module__.startswith("psycopg") and type(failure.orig).__name__ in {
        "OperationalError",
        "ConnectionTimeout",
        "PipelineAborted",
    }
