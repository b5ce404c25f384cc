"""What a database's failures mean: try again, tell the visitor, or a bug."""

from __future__ import annotations

import logging
import random
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError, DisconnectionError

from sekisho.domain.errors import Refusal, StoreAway, TooManyRequests

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger("sekisho.store")
_PAUSE_S = 0.05
# PostgreSQL's SQLSTATE (appendix A): serialization_failure and deadlock_detected.
_UNLUCKY = {"40001", "40P01"}
# Operator intervention: a shutdown, a crash, a failover; and too many connections.
_GOING_AWAY = {"57P01", "57P02", "57P03", "53300"}
# Disk full, out of memory, read-only (a standby), lock and statement deadlines.
_CANNOT_NOW = {"53100", "53200", "25006", "55P03", "57014"}
# SQLite's words: its driver has error codes by name from Python 3.11 on.
_SQLITE_BUSY = {"SQLITE_BUSY", "SQLITE_LOCKED"}
_SQLITE_CANNOT_NOW = {"SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_NOMEM"}


class CommitUnknown(Exception):  # noqa: N818 - names what is the case
    """The connection was lost during COMMIT: the change stands or does not, and nobody can tell yet."""


@contextmanager
def of_commit() -> Iterator[None]:
    """Tell a connection that is lost during the block from one that was lost before: it is never tried again."""
    try:
        yield
    except DBAPIError as failure:
        if _is_disconnect(failure):
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


def pause(tries: int) -> None:
    """Wait before the next try, longer each time and not in step with others."""
    time.sleep(random.uniform(0.2, 1) * _PAUSE_S * 2**tries)  # noqa: S311 - no secret


def refusal_of(failure: Exception) -> Refusal | None:
    """Return what the visitor is told, or None where the failure is none that a visitor can be told of."""
    if isinstance(failure, Refusal):
        return failure
    if isinstance(failure, (CommitUnknown, DisconnectionError)):
        log.error("the database went away: %s", _line(failure.__cause__ or failure))
        return StoreAway()
    if not isinstance(failure, DBAPIError):
        return None
    state = _state(failure)
    if state in _UNLUCKY | _SQLITE_BUSY:
        return TooManyRequests()
    if state in _GOING_AWAY | _CANNOT_NOW | _SQLITE_CANNOT_NOW or _is_disconnect(failure):
        log.error("the database cannot be used: %s", _line(failure))
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


def _line(failure: BaseException) -> str:
    # The first line alone: what follows may be the statement with its values.
    return str(getattr(failure, "orig", None) or failure).strip().splitlines()[0]
