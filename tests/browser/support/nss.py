"""An NSS certificate database, as Chromium and Firefox keep it, through Debian's libnss3-tools."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

TIMEOUT = 30
"""Seconds that one of NSS's programs may take."""


class NssError(Exception):
    """One of NSS's programs refused; the text is what it printed."""


@dataclass(frozen=True, slots=True)
class StoredCertificate:
    """A certificate of the database whose key is there as well."""

    nickname: str
    common_name: str
    serial: int


def _run(*arguments: str | Path) -> str:
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    if done.returncode != 0:
        raise NssError(f"{arguments[0]}: {done.stdout}{done.stderr}".strip())
    return done.stdout


class NssDatabase:
    """The database in `folder`, without a password; made there if there is none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / "cert9.db").exists():
            folder.mkdir(parents=True, exist_ok=True)
            self._certutil("-N", "--empty-password")

    def _certutil(self, *arguments: str | Path) -> str:
        return _run("certutil", "-d", f"sql:{self.folder}", *arguments)

    def trust_ca(self, pem: Path) -> None:
        """Trust every certificate of a PEM file to issue certificates of TLS servers."""
        for certificate in x509.load_pem_x509_certificates(pem.read_bytes()):
            with tempfile.NamedTemporaryFile(suffix=".der") as der:
                der.write(certificate.public_bytes(serialization.Encoding.DER))
                der.flush()
                nickname = f"ca-{certificate.serial_number:x}"
                self._certutil("-A", "-n", nickname, "-t", "C,,", "-i", der.name)

    def import_p12(self, path: Path, password: str) -> None:
        """Import certificate and key from a PKCS#12 file, as a person does.

        Raises `NssError` for a wrong password or a file that NSS does not read.
        """
        _run("pk12util", "-d", f"sql:{self.folder}", "-i", path, "-W", password)

    def import_pem(self, certificate: Path, key: Path) -> None:
        """Import a certificate and its unencrypted key from PEM files; its common name is the nickname."""
        leaf, *chain = x509.load_pem_x509_certificates(certificate.read_bytes())
        loaded: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
        loaded = serialization.load_pem_private_key(key.read_bytes(), None)  # type: ignore[assignment]  # ours
        password = "between two programs"
        der = pkcs12.serialize_key_and_certificates(
            _common_name(leaf).encode(),
            loaded,
            leaf,
            chain,
            serialization.BestAvailableEncryption(password.encode()),
        )
        with tempfile.NamedTemporaryFile(suffix=".p12") as file:
            file.write(der)
            file.flush()
            self.import_p12(Path(file.name), password)

    def certificates(self) -> list[StoredCertificate]:
        """Return the certificates whose key is in the database.

        NSS gives all certificates of one subject the same nickname, so a renewed one shares that of the
        old one, and several entries may have one nickname.
        """
        # NSS marks with "u" what it can use; the listing ends each line with the three trust columns.
        mine = re.findall(r"^(.+?) +u\S*,\S*,\S* *$", self._certutil("-L"), re.MULTILINE)
        return [
            StoredCertificate(nickname, _common_name(certificate), certificate.serial_number)
            for nickname in dict.fromkeys(mine)
            for certificate in x509.load_pem_x509_certificates(self._certutil("-L", "-n", nickname, "-a").encode())
        ]

    def delete(self, nickname: str) -> None:
        """Delete every certificate of this nickname together with its key."""
        for _ in [one for one in self.certificates() if one.nickname == nickname]:
            self._certutil("-F", "-n", nickname)

    def add_module(self, name: str, library: Path) -> None:
        """Register a PKCS#11 module, such as a token's, from its shared library."""
        _run("modutil", "-dbdir", f"sql:{self.folder}", "-add", name, "-libfile", library, "-force")

    def modules(self) -> list[str]:
        """Return the names of the registered PKCS#11 modules."""
        return re.findall(r"^ +\d+\. (.+?) *$", _run("modutil", "-dbdir", f"sql:{self.folder}", "-list"), re.MULTILINE)


def _common_name(certificate: x509.Certificate) -> str:
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
