"""A CA of one test: its keys, orders for it, and its process."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sekisho.ca import keys, process
from sekisho.ca.authority import Authority
from sekisho.ca.journal import Journal
from sekisho.ca.signer import Signer
from sekisho.domain.person import Kind
from sekisho.pki import hierarchy, profile

if TYPE_CHECKING:
    from collections.abc import Iterator

BANK = profile.BankName("9990", "Mihon Shinkin Bank")
PKI_URL = "http://localhost:8444"
NOW = datetime(2026, 11, 24, 3, 0, 0, tzinfo=UTC)
PATIENCE_S = 20


def new_hierarchy() -> hierarchy.Hierarchy:
    return hierarchy.make(BANK, pki_url=PKI_URL, now=NOW, entropy=os.urandom)


def spki(key: Any) -> bytes:
    data: bytes = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return data


def order(**changed: Any) -> profile.Order:
    made = profile.Order(
        kind=Kind.USER,
        common_name="12345678901keiri019990",
        serial=hierarchy.serial_number(NOW, os.urandom),
        spki=changed.get("spki") or spki(ec.generate_private_key(ec.SECP256R1())),
        not_before=NOW - profile.BACKDATE,
        not_after=NOW + timedelta(days=365),
    )
    return replace(made, **changed)


@dataclass
class Running:
    """A CA's process over a folder of keys; it can be killed and started again."""

    folder: Path
    child: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def socket(self) -> Path:
        return self.folder / "ca.sock"

    def start(self) -> None:
        argv = [sys.executable, "-m", "tests.support.authority", str(self.folder)]
        with (self.folder / "said").open("ab") as said:
            self.child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said)
        assert self.child.stdout is not None
        assert self.child.stdout.readline() == process.READY

    def said(self) -> str:
        return (self.folder / "said").read_text()

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    @property
    def pid(self) -> int:
        assert self.child is not None
        return self.child.pid

    def kill(self) -> None:
        if self.child is not None:
            self.child.kill()
            self.child.communicate()
            self.child = None


@contextmanager
def running(folder: Path) -> Iterator[Running]:
    made = new_hierarchy()
    keys.save(folder, made)
    ca = Running(folder)
    ca.start()
    try:
        yield ca
    finally:
        ca.kill()


if __name__ == "__main__":
    at = Path(sys.argv[1])
    signer = Signer(BANK, keys.load_issuing(at), PKI_URL, now=lambda: NOW)
    process.serve(
        Authority(signer, Journal(at / "journal", keys.journal_key(at, None)), now=lambda: NOW), at / "ca.sock"
    )
