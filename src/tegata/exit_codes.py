"""One table of what Tegata's exit codes mean; docs/reference/tegata-exit-codes.md shows the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tegata.errors import Trouble

DONE = 0
USAGE = 2
REFUSED = 10
NOT_YET = 12
BUSY = 13
SERVER_NOT_REACHABLE = 20
SERVER_NOT_TRUSTED = 21
ANSWER_WRONG = 22
PROXY = 23
STORE_MISSING = 30
STORE_PIN_WRONG = 31
STORE_LOCKED = 32
STORE_READ_ONLY = 33
STORE_FULL = 34
STORE_FAILED = 35
STORE_NOT_HERE_YET = 36
NOT_FOUND = 40
ANOTHER_AT_WORK = 41
RECORDS_NOT_WRITABLE = 42
GUI_MISSING = 43
FOUND_SOMETHING = 50
BUG = 70
INTERRUPTED = 130

OF_CODE: dict[str, int] = {
    "refused": REFUSED,
    "not-yet": NOT_YET,
    "busy": BUSY,
    "address-not-usable": USAGE,
    "answer-lost": SERVER_NOT_REACHABLE,
    "answer-not-understood": ANSWER_WRONG,
    "certificate-for-another-key": ANSWER_WRONG,
    "certificate-for-another-person": ANSWER_WRONG,
    "certificate-not-usable": ANSWER_WRONG,
    "proxy-refused": PROXY,
    "server-not-reachable": SERVER_NOT_REACHABLE,
    "server-not-trusted": SERVER_NOT_TRUSTED,
    "trust-not-readable": USAGE,
    "store-full": STORE_FULL,
    "store-failed": STORE_FAILED,
    "store-locked": STORE_LOCKED,
    "store-missing": STORE_MISSING,
    "store-not-here-yet": STORE_NOT_HERE_YET,
    "store-pin-missing": STORE_PIN_WRONG,
    "store-pin-wrong": STORE_PIN_WRONG,
    "store-read-only": STORE_READ_ONLY,
    "store-several-tokens": USAGE,
    "store-unknown": USAGE,
    "token-key-not-usable": STORE_FAILED,
    "another-at-work": ANOTHER_AT_WORK,
    "certificate-not-found": NOT_FOUND,
    "certificate-several": USAGE,
    "file-open-to-others": USAGE,
    "found-something": FOUND_SOMETHING,
    "gui-missing": GUI_MISSING,
    "input-ended": USAGE,
    "link-not-usable": USAGE,
    "records-not-writable": RECORDS_NOT_WRITABLE,
}


def of(trouble: Trouble) -> int:
    """Return the exit code of a trouble."""
    return OF_CODE[trouble.code]
