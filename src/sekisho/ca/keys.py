"""The CA's keys, each in a file that its own process alone reads."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from sekisho.domain.person import Kind
from sekisho.pki.hierarchy import Hierarchy, KeyAndCertificate

if TYPE_CHECKING:
    from pathlib import Path

_JOURNAL_KEY = 32


def save(folder: Path, hierarchy: Hierarchy) -> None:
    """Write a new hierarchy. Raises FileExistsError rather than touch a key that is there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    named = {"root": hierarchy.root} | {kind.value: pair for kind, pair in hierarchy.issuing.items()}
    for name, pair in named.items():
        private = pair.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_secret(folder / f"{name}.key.pem", private)
        (folder / f"{name}.pem").write_bytes(pair.certificate.public_bytes(Encoding.PEM))


def journal_key(folder: Path) -> bytes:
    """Return the 32 octets that open the journal; made where there is neither a key nor a journal yet.

    Raises ValueError where a journal stands there and its key is gone, or is none.
    """
    file = folder / "journal.key"
    if not file.exists():
        if (folder / "journal").exists():
            raise ValueError("journal.key is missing, and without it the journal cannot be read")
        write_secret(file, os.urandom(_JOURNAL_KEY))
    key = file.read_bytes()
    if len(key) != _JOURNAL_KEY:
        raise ValueError(f"journal.key is not {_JOURNAL_KEY} bytes long")
    return key


def load_issuing(folder: Path) -> dict[Kind, KeyAndCertificate]:
    """Return the issuing CAs. The root's key stays on disk: nothing that runs needs it."""
    issuing = {}
    for kind in Kind:
        key = load_pem_private_key((folder / f"{kind.value}.key.pem").read_bytes(), None)
        certificate = x509.load_pem_x509_certificate((folder / f"{kind.value}.pem").read_bytes())
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise ValueError(f"the key of the issuing CA for {kind.value}s is not its certificate's")
        issuing[kind] = KeyAndCertificate(key, certificate)
    return issuing


def load_certificate(folder: Path, name: str) -> x509.Certificate:
    """Return the certificate of "root" or of an issuing CA ("administrator", "user")."""
    return x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())


def write_secret(file: Path, data: bytes) -> None:
    """Write a new file that its owner alone may read, flushed to disk. Raises FileExistsError where it is there."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
