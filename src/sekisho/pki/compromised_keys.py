"""Keys that others have: weak Debian keys, keys from firmware, examples and test suites.

The list is badkeys' `blocklist.dat`: records of 16 octets in order, each the
first 15 octets of the SHA-256 of a public key's number (the modulus of RSA,
the x coordinate of an elliptic curve, without leading zeros) and one octet
that says where the key was found. A bank brings the file; nothing is fetched.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from sekisho.domain.errors import KeyWeak

if TYPE_CHECKING:
    from mmap import mmap

_RECORD, _HASH = 16, 15


class CompromisedKeys:
    """The list, as bytes or mapped into memory; an empty one knows no key."""

    def __init__(self, records: bytes | mmap = b"") -> None:
        """Take the records as they are. Raises ValueError where they cannot be such a list."""
        self._records = records
        self._count, rest = divmod(len(records), _RECORD)
        some = [self._hash(at * self._count // 1000) for at in range(1000)] if self._count else []
        if rest or some != sorted(some):
            raise ValueError("not a list of 16-octet records in order")

    def __len__(self) -> int:
        return self._count

    def check(self, spki: bytes) -> None:
        """Raise `KeyWeak` where the key, a DER SubjectPublicKeyInfo of RSA or an elliptic curve, is on the list."""
        if not self._count:
            return
        key = load_der_public_key(spki)
        if isinstance(key, rsa.RSAPublicKey):
            number = key.public_numbers().n
        elif isinstance(key, ec.EllipticCurvePublicKey):
            number = key.public_numbers().x
        else:
            raise TypeError(f"a key that is never certified: {type(key)}")
        wanted = key_hash(number)
        at = bisect_left(range(self._count), wanted, key=self._hash)
        if at < self._count and self._hash(at) == wanted:
            raise KeyWeak(weakness="compromised")

    def _hash(self, at: int) -> bytes:
        return self._records[at * _RECORD : at * _RECORD + _HASH]


def key_hash(number: int) -> bytes:
    """Return what a key's number is known by in the list."""
    return hashlib.sha256(number.to_bytes((number.bit_length() + 7) // 8)).digest()[:_HASH]
