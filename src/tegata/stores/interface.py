"""What every key store can do. Windows and macOS will bring a store of their own behind the same interface."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric import ec


class Held(StrEnum):
    """How a key is held, as the bank is told; the bank records it as claimed."""

    TPM = "tpm"
    TOKEN = "token"  # noqa: S105 - a kind of key store
    OS_NOT_EXPORTABLE = "os-not-exportable"
    FILE = "file"


class StoredKey(Protocol):
    """A private key in a store. It signs there; nothing can read it."""

    @property
    def id(self) -> bytes:
        """What the store knows the key by (CKA_ID)."""

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""

    def sign_digest(self, digest: bytes) -> bytes:
        """Return the ECDSA signature of a digest as DER (RFC 3279 section 2.2.3)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A certificate in a store whose key is there as well. `der` are its exact bytes."""

    key_id: bytes
    der: bytes


class KeyStore(Protocol):
    """An open store. Every method raises `StoreTrouble` where the store says no."""

    @property
    def spec(self) -> str:
        """How `--store` names it."""

    @property
    def held(self) -> Held:
        """What may be claimed for a key in it."""

    def key_ids(self) -> frozenset[bytes]:
        """Return the ids of all private keys."""

    def make_key(self, label: str) -> StoredKey:
        """Make a P-256 key inside the store, not exportable, under a label that nothing else has."""

    def find_key(self, label: str, known: frozenset[bytes]) -> StoredKey | None:
        """Return the key that `make_key` made for `label`, also where it died half way.

        `known` are the ids that were there before.
        """

    def key(self, key_id: bytes) -> StoredKey | None:
        """Return the key of an id."""

    def put(self, key_id: bytes, name: str, certificate: bytes, chain: Sequence[bytes]) -> None:
        """Store a certificate beside its key, and the CA certificates above it where the store takes them.

        Once more with the same bytes changes nothing.
        """

    def entries(self) -> list[Entry]:
        """Return the certificates whose keys are here."""

    def has_certificate(self, der: bytes) -> bool:
        """Tell whether a CA certificate is here; true where the store takes none."""

    def remove(self, key_id: bytes) -> None:
        """Remove a key and its certificate. What is not there is no error."""

    def close(self) -> None:
        """Let go of it."""

    def __enter__(self) -> Self:
        """Return itself."""

    def __exit__(self, *_: object) -> None:
        """Close it."""
