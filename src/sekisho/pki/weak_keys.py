"""RSA keys whose private half others can work out. The arithmetic is badkeys'.

Only what needs no file besides its wheel is used, so nothing is fetched at
run time. Keys that are known because somebody has them: `compromised_keys`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import badkeys  # type: ignore[import-untyped]  # it has no types

from sekisho.domain.errors import KeyWeak

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import rsa

# Close primes, Infineon's generator (CVE-2017-15361), regular bit patterns, primes that other keys on the
# internet have, and factors that trial division finds.
_CHECKS = ("fermat", "roca", "rsapoly", "sharedprimes", "smallfactors")


def check_not_weak(key: rsa.RSAPublicKey) -> None:
    """Raise `KeyWeak` where one of the checks factors the modulus or knows its generator for broken.

    Takes up to half a millisecond for 4096 bits; the caller has bound the size before.
    """
    numbers = key.public_numbers()
    for weakness in badkeys.checkrsa(numbers.n, e=numbers.e, checks=_CHECKS):
        raise KeyWeak(weakness=weakness)


# The product of small primes and the list of shared ones are made at the first key: better now than for a visitor.
badkeys.checkrsa((1 << 2047) + 1, checks=_CHECKS)
