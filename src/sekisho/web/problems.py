"""One table from published codes to HTTP status codes (RFC 9110 section 15)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.errors import OutOfHours

if TYPE_CHECKING:
    from sekisho.domain.errors import Refusal

BAD_REQUEST = 400
FORBIDDEN = 403
NOT_FOUND = 404
CONFLICT = 409
TOO_MANY_REQUESTS = 429
INTERNAL_SERVER_ERROR = 500
NOT_IMPLEMENTED = 501
SERVICE_UNAVAILABLE = 503

# What passes by itself: for so long (RFC 9110 section 10.2.3) a program, or a browser that asks again, may wait.
_RETRY_AFTER_S = 30
PASSING = frozenset({"ca-away", "mail-away", "service-unavailable", "too-many-requests"})

STATUS: dict[str, int] = {
    "ca-away": SERVICE_UNAVAILABLE,
    "card-maker-not-usable": CONFLICT,
    "card-missing": FORBIDDEN,
    "card-moved": CONFLICT,
    "cards-none-to-print": CONFLICT,
    "certificate-expired": FORBIDDEN,
    "certificate-issuer-revoked": FORBIDDEN,
    "certificate-missing": FORBIDDEN,
    "certificate-none-to-revoke": CONFLICT,
    "certificate-not-confirmed": FORBIDDEN,
    "certificate-not-in-force": FORBIDDEN,
    "certificate-not-yet-valid": FORBIDDEN,
    "certificate-other-bank": FORBIDDEN,
    "certificate-reissued": FORBIDDEN,
    "certificate-revoked": FORBIDDEN,
    "certificate-superseded": FORBIDDEN,
    "certificate-suspended": FORBIDDEN,
    "certificate-unknown": FORBIDDEN,
    "certificate-wrong-kind": FORBIDDEN,
    "choice-missing": BAD_REQUEST,
    "contract-closed": FORBIDDEN,
    "contract-id-taken": CONFLICT,
    "contract-not-open": FORBIDDEN,
    "contract-unknown": NOT_FOUND,
    "csr-not-accepted": BAD_REQUEST,
    "details-not-allowed": BAD_REQUEST,
    "emergency-stopped": FORBIDDEN,
    "entry-differs": BAD_REQUEST,
    "entry-missing": BAD_REQUEST,
    "entry-not-digits": BAD_REQUEST,
    "entry-too-long": BAD_REQUEST,
    "entry-wrong": FORBIDDEN,
    "form-expired": FORBIDDEN,
    "form-moved": CONFLICT,
    "form-unknown": NOT_FOUND,
    "form-without-effect": CONFLICT,
    "four-eyes": FORBIDDEN,
    "identity-not-confirmed": CONFLICT,
    "idempotency-key-missing": BAD_REQUEST,
    "idempotency-key-reused": CONFLICT,
    "internal": INTERNAL_SERVER_ERROR,
    "issuing-ca-revoked": SERVICE_UNAVAILABLE,
    "key-not-accepted": BAD_REQUEST,
    "key-reused": CONFLICT,
    "key-weak": BAD_REQUEST,
    "mail-address-code-wrong": FORBIDDEN,
    "mail-address-confirmed": CONFLICT,
    "mail-address-missing": FORBIDDEN,
    "mail-away": SERVICE_UNAVAILABLE,
    "mailed-code-needed": FORBIDDEN,
    "mailed-code-wrong": FORBIDDEN,
    "mailed-codes-used-up": FORBIDDEN,  # tomorrow, and not in half a minute as what passes by itself
    "method-not-allowed": 405,
    "not-accepted": FORBIDDEN,
    "not-open-yet": SERVICE_UNAVAILABLE,
    "opening-code-wrong": FORBIDDEN,
    "opening-step-done": CONFLICT,
    "operation-not-offered": NOT_IMPLEMENTED,
    "out-of-hours": SERVICE_UNAVAILABLE,
    "page-unknown": NOT_FOUND,
    "passkey-not-accepted": FORBIDDEN,
    "permit-expired": FORBIDDEN,
    "permit-missing": FORBIDDEN,
    "permit-none-to-withdraw": CONFLICT,
    "permit-spent": CONFLICT,
    "permit-withdrawn": FORBIDDEN,
    "pin-not-allowed": BAD_REQUEST,
    "pins-to-replace": FORBIDDEN,
    "policy-by-two": CONFLICT,
    "proposal-decided": CONFLICT,
    "proposal-outdated": CONFLICT,
    "proposal-own": FORBIDDEN,
    "proposal-unknown": NOT_FOUND,
    "provisional-pin-ended": FORBIDDEN,
    "renewal-needs-pin": FORBIDDEN,
    "renewal-not-open": FORBIDDEN,
    "request-too-large": 413,
    "role-granted": CONFLICT,
    "role-missing": FORBIDDEN,
    "role-not-granted": CONFLICT,
    "roles-conflict": CONFLICT,
    "rules-not-allowed": BAD_REQUEST,
    "rules-unchanged": BAD_REQUEST,
    "scan-not-accepted": BAD_REQUEST,
    "second-step-missing": CONFLICT,
    "serial-unknown": NOT_FOUND,
    "service-unavailable": SERVICE_UNAVAILABLE,
    "session-certificate-differs": FORBIDDEN,
    "session-ended-age": FORBIDDEN,
    "session-ended-by-administrator": FORBIDDEN,
    "session-ended-certificate": FORBIDDEN,
    "session-ended-elsewhere": FORBIDDEN,
    "session-ended-idle": FORBIDDEN,
    "session-missing": FORBIDDEN,
    "session-unknown": CONFLICT,
    "signing-refused": CONFLICT,
    "staff-closed": FORBIDDEN,
    "staff-id-taken": CONFLICT,
    "staff-unknown": NOT_FOUND,
    "too-many-requests": TOO_MANY_REQUESTS,
    "user-id-taken": CONFLICT,
    "user-not-suspended": CONFLICT,
    "user-suspended": FORBIDDEN,
    "user-unknown": NOT_FOUND,
    "users-full": CONFLICT,
    "way-not-offered": FORBIDDEN,
}


def status_of(refusal: Refusal) -> int:
    """Return the HTTP status code of a refusal."""
    return STATUS[refusal.code]


def headers_of(refusal: Refusal) -> dict[str, str]:
    """Return the headers that tell when to ask again, where that is worth it."""
    if isinstance(refusal, OutOfHours):
        return {"retry-after": str(refusal.values["seconds"])}
    return {"retry-after": str(_RETRY_AFTER_S)} if refusal.code in PASSING else {}
