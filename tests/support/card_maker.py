"""The card maker, to whom the print file is encrypted."""

from __future__ import annotations

import csv
import io
import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sekisho.usecases.cards import COLUMNS

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import ec, rsa


class Maker:
    """The card maker, who opens what comes with openssl."""

    def __init__(self, folder: Path, now: datetime, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
        self.folder = folder
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "card maker")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
            .sign(key, hashes.SHA256())
        )
        self.pem = certificate.public_bytes(Encoding.PEM)
        (folder / "maker.pem").write_bytes(self.pem)
        (folder / "maker.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    def read(self, encrypted: bytes) -> list[dict[str, str]]:
        (self.folder / "cards.p7m").write_bytes(encrypted)
        opened = subprocess.run(
            [
                *("openssl", "cms", "-decrypt", "-binary", "-inform", "DER"),
                *("-in", "cards.p7m", "-recip", "maker.pem", "-inkey", "maker.key"),
            ],
            cwd=self.folder,
            capture_output=True,
            check=True,
            timeout=60,
        )
        rows = list(csv.DictReader(io.StringIO(opened.stdout.decode(), newline="")))
        assert all(tuple(row) == COLUMNS for row in rows)
        return rows
