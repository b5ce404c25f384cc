"""What a certificate says, sealed under a key of its contract: destroying the key erases it for good."""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from sekisho.ca.blocks import JournalBroken
from sekisho.ca.contract_keys import ContractKeys
from sekisho.ca.entries import Certified

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from sekisho.domain.person import Kind

_NONCE = 12
_ORDER_DIGEST = 32


class ContractErased(Exception):  # noqa: N818 - names what was found
    """The serial number stands there, and what was signed for it was erased."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A certificate that was signed and is to be written down; `order_digest` tells the order from any other."""

    kind: Kind
    serial: int
    contract: str
    order_digest: bytes
    der: bytes
    signed_at: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Known:
    """A certificate that stands in the journal, with its contract and the digest of its order."""

    contract: str
    order_digest: bytes
    der: bytes


class Sealing:
    """Seals with the keys of contracts, which stand in slots of a file and are wrapped under the journal's key."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._label_key = _derived(key, b"label")
        self._keys = ContractKeys(path, _derived(key, b"wrap"))

    def close(self) -> None:
        """Close the file of keys."""
        self._keys.close()

    def label(self, contract: str) -> bytes:
        """Return what an index may know a contract by: 32 octets that tell nobody else which one it is."""
        return hmac.digest(self._label_key, contract.encode(), "sha256")

    def provide(self, slot: int) -> None:
        """Make the key of a slot that is new."""
        self._keys.provide(slot)

    def destroy(self, slot: int) -> None:
        """Destroy the key of a slot for good."""
        self._keys.destroy(slot)

    def seal(self, draft: Draft, slot: int) -> Certified:
        """Seal what was signed. Raises `JournalBroken` where the slot has no key."""
        key = self._keys.key(slot)
        if key is None:
            raise JournalBroken(f"slot {slot} belongs to a contract and is empty")
        sha256 = hashlib.sha256(draft.der).digest()
        entry = Certified(draft.kind, draft.serial, draft.signed_at, draft.not_after, slot, sha256)
        nonce, contract = os.urandom(_NONCE), draft.contract.encode()
        content = draft.order_digest + bytes([len(contract)]) + contract + draft.der
        return replace(entry, sealed=nonce + key.encrypt(nonce, content, entry.clear))

    def opened(self, entry: Certified) -> Known:
        """Return what an entry says. Raises `ContractErased`, and `JournalBroken` where it is damaged."""
        key = self._keys.key(entry.slot)
        if key is None:
            raise ContractErased
        try:
            content = key.decrypt(entry.sealed[:_NONCE], entry.sealed[_NONCE:], entry.clear)
        except InvalidTag as wrong:
            raise JournalBroken(f"what the journal has of serial number {entry.serial:032x} is damaged") from wrong
        name_ends = _ORDER_DIGEST + 1 + content[_ORDER_DIGEST]
        return Known(content[_ORDER_DIGEST + 1 : name_ends].decode(), content[:_ORDER_DIGEST], content[name_ends:])


def _derived(key: bytes, purpose: bytes) -> bytes:
    return HKDFExpand(hashes.SHA256(), 32, b"sekisho journal " + purpose).derive(key)
