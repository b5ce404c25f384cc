"""PINs are hashed with a pepper that no database dump holds."""

from __future__ import annotations

import hashlib
import hmac
import os
from threading import BoundedSemaphore

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from sekisho.domain.secret import normal_form

# OWASP's second choice for argon2id: 19 MiB of memory, two passes, one lane.
_MEMORY_KIB = 19_456
_PASSES = 2
_LANES = 1


class PinHasher:
    """NFKC, then HMAC-SHA-256 with the pepper, then argon2id (RFC 9106).

    A guess costs memory and time, and a stolen database alone cannot be
    guessed against at all. At most one check a core runs at once: more would
    only take longer and hold 19 MiB each.
    """

    def __init__(self, pepper: bytes) -> None:
        if len(pepper) < 32:  # noqa: PLR2004 - as long as the HMAC's output
            raise ValueError("the pepper is shorter than 32 bytes")
        self._pepper = pepper
        self._argon2 = PasswordHasher(time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=_LANES, type=Type.ID)
        self._at_once = BoundedSemaphore(os.cpu_count() or 1)
        # What an unknown person's entry is checked against, so that it costs the same.
        self._nobody = self._argon2.hash(os.urandom(32))

    def hash(self, pin: str) -> str:
        """Return the verifier to be stored for a PIN."""
        with self._at_once:
            return self._argon2.hash(self._peppered(pin))

    def verify(self, verifier: str | None, entry: str) -> bool:
        """Tell whether `entry` is the PIN behind `verifier`; None stands for nobody's and costs the same."""
        with self._at_once:
            try:
                self._argon2.verify(verifier or self._nobody, self._peppered(entry))
            except VerifyMismatchError:
                return False
            except InvalidHashError as damaged:
                raise RuntimeError("a stored verifier is damaged") from damaged
        return verifier is not None

    def _peppered(self, entry: str) -> bytes:
        return hmac.new(self._pepper, normal_form(entry).encode(), hashlib.sha256).digest()
