"""One-time codes of an authenticator app: TOTP (RFC 6238) as every app has it, SHA-1, 6 digits, 30 seconds."""

from __future__ import annotations

import base64
import hmac
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.hotp import HOTP
from cryptography.hazmat.primitives.twofactor.totp import TOTP

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

DIGITS = 6
_STEP_S = 30
# RFC 4226 section 4, R6: 160 bits are recommended.
_SECRET = 20


def new_secret(entropy: Callable[[int], bytes]) -> str:
    """Return a new secret in base32, as people may type it into an app."""
    return base64.b32encode(entropy(_SECRET)).decode()


def step_of(secret: str, code: str, now: datetime) -> int | None:
    """Return the time step whose code this is: the present one, the last or the next; None where it is none of them."""
    hotp = HOTP(base64.b32decode(secret), DIGITS, SHA1())  # noqa: S303 - HMAC-SHA-1, which RFC 6238 prescribes
    present = int(now.timestamp()) // _STEP_S
    right = None
    for step in (present - 1, present, present + 1):
        if hmac.compare_digest(hotp.generate(step), code.encode()):
            right = step
    return right


def address(secret: str, *, issuer: str, account: str) -> str:
    """Return the `otpauth:` address that an app reads from a QR code."""
    totp = TOTP(base64.b32decode(secret), DIGITS, SHA1(), _STEP_S)  # noqa: S303 - as above
    return totp.get_provisioning_uri(account, issuer)
