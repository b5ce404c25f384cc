"""Keys and certificates for the console: the staff's CA in the data folder, and files for its people."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from sekisho import wiring_ca
from sekisho.ca import keys
from sekisho.pki.hierarchy import KeyAndCertificate
from sekisho.pki.pkcs12 import bundle
from sekisho.pki.profile import BankName
from sekisho.pki.staff import issue_staff, make_staff_ca
from sekisho.settings import DataFolderDamaged
from sekisho.store.staff import StaffCertificate

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path

    from sekisho.settings import Settings

_PASSWORD = "abcdefghijkmnpqrstuvwxyz23456789"  # noqa: S105 - the letters of one
_PASSWORD_GROUPS, _GROUP = 4, 5


def staff_ca(settings: Settings) -> KeyAndCertificate:
    """Return the staff's CA, made where there is none yet. Raises `DataFolderDamaged`."""
    folder, bank = settings.staff_ca_dir, BankName(settings.bank, settings.organization)
    passphrase = wiring_ca.ca_passphrase(settings)
    key_file, certificate_file = folder / "ca.key.pem", folder / "ca.pem"
    if not key_file.exists():
        folder.mkdir(mode=0o700, exist_ok=True)
        made = make_staff_ca(bank, now=datetime.now(UTC), entropy=secrets.token_bytes)
        # The key comes last: without it nothing of the CA counts as made.
        certificate_file.write_bytes(made.certificate.public_bytes(Encoding.PEM))
        keys.write_secret(key_file, keys.to_pem(made.key, passphrase))
        return made
    try:
        key = keys.read_pem(key_file.read_bytes(), passphrase, key_file.name)
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    except (OSError, ValueError) as unusable:
        raise DataFolderDamaged(f"the keys in {folder} cannot be used: {unusable}") from unusable
    if key.public_key() != certificate.public_key():
        raise DataFolderDamaged(f"{key_file} is not the key of {certificate_file}")
    return KeyAndCertificate(key, certificate)


@dataclass
class StaffKey:
    """A new key for one of the bank's people; `issue` certifies it, `p12` puts both into one file."""

    settings: Settings
    life: timedelta
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    certificate: x509.Certificate | None = None

    def issue(self, staff_id: str) -> StaffCertificate:
        """Certify the key for a staff ID."""
        self.certificate = made = issue_staff(
            staff_ca(self.settings),
            BankName(self.settings.bank, self.settings.organization),
            staff_id,
            self.key.public_key(),
            now=datetime.now(UTC),
            life=self.life,
            entropy=secrets.token_bytes,
        )
        der = made.public_bytes(Encoding.DER)
        fingerprint = hashlib.sha256(der).digest()
        return StaffCertificate(
            made.serial_number, fingerprint, der, made.not_valid_before_utc, made.not_valid_after_utc
        )

    def write_p12(self, file: Path, name: str) -> str:
        """Write the file for its owner alone and return its password. Raises FileExistsError where it is there."""
        if self.certificate is None:
            raise RuntimeError("a key without a certificate")
        password = new_password()
        chain = [staff_ca(self.settings).certificate]
        keys.write_secret(file, bundle(name, self.key, self.certificate, chain, password))
        return password


def new_password() -> str:
    """Return a password of 100 bits in groups, of letters and digits of which none looks like another."""
    groups = ("".join(secrets.choice(_PASSWORD) for _ in range(_GROUP)) for _ in range(_PASSWORD_GROUPS))
    return "-".join(groups)
