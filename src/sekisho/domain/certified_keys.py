"""Which keys a bank certifies."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeyRules:
    """P-256 is always certified: it is what Tegata and the browser make. `rsa_bits` is the least length of RSA keys."""

    p384: bool = True
    rsa: bool = True
    rsa_bits: int = 2048


ALL_KEYS = KeyRules()
