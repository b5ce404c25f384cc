"""When a mail that a mail server did not take is tried again."""

from __future__ import annotations

from datetime import timedelta

_FIRST_WAIT = timedelta(minutes=1)
_LONGEST_WAIT = timedelta(hours=4)
# RFC 5321 section 4.5.4.1: give up after four to five days at the earliest.
_PATIENCE = timedelta(days=5)


def wait_after(tries: int) -> timedelta | None:
    """Return how long to wait after so many tries (1 or more) that were put off; None where that was the last.

    Each wait is twice the one before, up to a bound.
    """
    waited, wait = timedelta(0), _FIRST_WAIT
    for _ in range(tries - 1):
        waited += wait
        wait = min(2 * wait, _LONGEST_WAIT)
    return wait if waited + wait <= _PATIENCE else None
