"""One table of what the command's exit codes mean; docs/reference/exit-codes.md shows the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.web import problems

if TYPE_CHECKING:
    from sekisho.domain.errors import Refusal

DONE = 0
USAGE = 2
REFUSED = 10
NOT_FOUND = 11
CA_AWAY = 12
BUSY = 13
ADDRESS_IN_USE = 20
FOLDER_NOT_WRITABLE = 21
FOLDER_DAMAGED = 22
FOLDER_MISSING = 23
FOLDER_IN_USE = 24
CA_DID_NOT_START = 25
DATABASE_NOT_USABLE = 26
WORKER_DID_NOT_START = 27
WORK_LEFT = 28
NOT_CONFIRMED = 29
DO_NOT_AGREE = 30
BUG = 70

_OWN = {
    "ca-away": CA_AWAY,
    "certificate-unknown": NOT_FOUND,
    "contract-unknown": NOT_FOUND,
    "form-unknown": NOT_FOUND,
    "proposal-unknown": NOT_FOUND,
    "staff-unknown": NOT_FOUND,
    "user-unknown": NOT_FOUND,
    "too-many-requests": BUSY,
    "serial-unknown": NOT_FOUND,
    "service-unavailable": DATABASE_NOT_USABLE,
}
OF_REFUSAL: dict[str, int] = {code: _OWN.get(code, REFUSED) for code in problems.STATUS}


def of_refusal(refusal: Refusal) -> int:
    """Return the exit code of a refusal."""
    return OF_REFUSAL[refusal.code]
