"""Card tables are encrypted, not hashed: their positions are asked one by one. Scans of papers are, too."""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from collections.abc import Mapping

_NONCE = 12


class CardSeal:
    """AES-256-GCM (NIST SP 800-38D) under a key that is not in the database, bound to the contract it is for."""

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:  # noqa: PLR2004 - AES-256
            raise ValueError("the card key is not 32 bytes")
        self._aead = AESGCM(key)

    def seal(self, table: Mapping[str, str], owner: str) -> str:
        """Return the sealed table as text; `owner` must be named again to open it."""
        nonce = os.urandom(_NONCE)
        sealed = self._aead.encrypt(nonce, json.dumps(dict(table)).encode(), owner.encode())
        return base64.b64encode(nonce + sealed).decode()

    def seal_bytes(self, plain: bytes, owner: str) -> bytes:
        """Return bytes sealed; `owner` must be named again to open them."""
        nonce = os.urandom(_NONCE)
        return nonce + self._aead.encrypt(nonce, plain, owner.encode())

    def open_bytes(self, sealed: bytes, owner: str) -> bytes:
        """Return the bytes. Raises RuntimeError where they were damaged or are another owner's."""
        try:
            return self._aead.decrypt(sealed[:_NONCE], sealed[_NONCE:], owner.encode())
        except InvalidTag as damaged:
            raise RuntimeError("sealed bytes do not open") from damaged

    def open(self, sealed: str, owner: str) -> dict[str, str]:
        """Return the table. Raises RuntimeError where it was damaged or is another contract's."""
        data = base64.b64decode(sealed)
        try:
            plain = self._aead.decrypt(data[:_NONCE], data[_NONCE:], owner.encode())
        except InvalidTag as damaged:
            raise RuntimeError("a sealed card table does not open") from damaged
        table: dict[str, str] = json.loads(plain)
        return table
