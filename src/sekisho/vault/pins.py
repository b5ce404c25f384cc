"""PINs are hashed with a pepper that no database dump holds.

    $argon2id$...           of a PIN that somebody chose, or that came alone
    ~SALT.DIGEST            quick, of a PIN that was drawn here: PBKDF2 of 1,000 rounds, until it is hardened
    =SALT$argon2id$...      the same, hardened: argon2id of that digest

SALT and DIGEST are base64. A quick verifier is hardened without its PIN.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from threading import BoundedSemaphore

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from sekisho.domain.secret import normal_form

# OWASP's second choice for argon2id: 19 MiB of memory, two passes, one lane.
_MEMORY_KIB = 19_456
_PASSES = 2
_LANES = 1
# PBKDF2 (RFC 8018), a fifth of a millisecond: what 50 drawn bits lack of 60. See ADR 0089.
_ROUNDS = 1000
_SALT = 16
_QUICK, _HARDENED = "~", "="


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
        return self._hashed(self._peppered(pin))

    def quick(self, drawn: str) -> str:
        """Return a verifier that is made in no time, for a PIN of 50 bits that was drawn and that nobody chose."""
        salt = os.urandom(_SALT)
        return f"{_QUICK}{_text(salt)}.{_text(self._stretched(drawn, salt))}"

    def harden(self, quick: str) -> str:
        """Return the verifier that takes a quick one's place: as dear to guess against as any. Raises ValueError."""
        salt, digest = _read_quick(quick)
        return f"{_HARDENED}{_text(salt)}{self._hashed(digest)}"

    def verify(self, verifier: str | None, entry: str) -> bool:
        """Tell whether `entry` is the PIN behind `verifier`; None stands for nobody's and costs the same.

        So does each kind of verifier: one PBKDF2 and one argon2id.
        """
        try:
            salt, argon2, digest = self._parts(verifier or self._nobody)
        except ValueError as damaged:
            raise RuntimeError("a stored verifier is damaged") from damaged
        stretched = self._stretched(entry, salt or bytes(_SALT))
        proof = self._peppered(entry) if salt is None else stretched
        with self._at_once:
            try:
                self._argon2.verify(argon2, proof)
            except VerifyMismatchError:
                return digest is not None and hmac.compare_digest(digest, stretched)
            except (InvalidHashError, VerificationError) as damaged:
                raise RuntimeError("a stored verifier is damaged") from damaged
        return verifier is not None and digest is None

    def _parts(self, verifier: str) -> tuple[bytes | None, str, bytes | None]:
        """Return a verifier's salt, its argon2id string (nobody's where it is quick) and a quick one's digest."""
        if verifier.startswith(_QUICK):
            salt, digest = _read_quick(verifier)
            return salt, self._nobody, digest
        if verifier.startswith(_HARDENED):
            salt_text, dollar, rest = verifier[1:].partition("$")
            return _bytes(salt_text), dollar + rest, None
        return None, verifier, None

    def _hashed(self, digest: bytes) -> str:
        with self._at_once:
            return self._argon2.hash(digest)

    def _stretched(self, entry: str, salt: bytes) -> bytes:
        return hashlib.pbkdf2_hmac("sha256", self._peppered(entry), salt, _ROUNDS)

    def _peppered(self, entry: str) -> bytes:
        return hmac.new(self._pepper, normal_form(entry).encode(), hashlib.sha256).digest()


def _read_quick(verifier: str) -> tuple[bytes, bytes]:
    """Return salt and digest. Raises ValueError where they are not as they were written."""
    salt, digest = (_bytes(part) for part in verifier.removeprefix(_QUICK).split("."))
    if (len(salt), len(digest)) != (_SALT, hashlib.sha256().digest_size):
        raise ValueError("salt or digest of another length")
    return salt, digest


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
