"""A bank's root and its two issuing CAs, made once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from sekisho.domain.person import Kind
from sekisho.pki import profile
from sekisho.pki.linting.authority import guard_issuing, guard_root

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from cryptography import x509


@dataclass(frozen=True, slots=True)
class KeyAndCertificate:
    """A CA's key and the certificate that names it."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """The root, and one issuing CA for each kind of person."""

    root: KeyAndCertificate
    issuing: dict[Kind, KeyAndCertificate]


def make(bank: profile.BankName, *, pki_url: str, now: datetime, entropy: Callable[[int], bytes]) -> Hierarchy:
    """Make the keys (P-384 for the root, P-256 for the rest) and certificates of a bank."""
    now = now.replace(microsecond=0)
    root_key = ec.generate_private_key(ec.SECP384R1())
    serial = serial_number(entropy)
    root = profile.root(bank, root_key.public_key(), serial, now).sign(
        guard_root(root_key, bank, serial=serial, now=now), hashes.SHA384()
    )
    issuing = {}
    for kind in Kind:
        key = ec.generate_private_key(ec.SECP256R1())
        serial = serial_number(entropy)
        address = f"{pki_url}/{bank.code}/root.cer"
        builder = profile.issuing(
            bank,
            kind,
            key.public_key(),
            serial,
            now,
            root_certificate=root,
            root_address=address,
        )
        guarded = guard_issuing(
            root_key, bank, kind, key=key.public_key(), serial=serial, now=now, root=root, root_address=address
        )
        issuing[kind] = KeyAndCertificate(key, builder.sign(guarded, hashes.SHA384()))
    return Hierarchy(KeyAndCertificate(root_key, root), issuing)


def addresses(bank_code: str, kind: Kind, pki_url: str) -> profile.Addresses:
    """Return where the pki site serves what belongs to the issuing CA of `kind`."""
    return profile.Addresses(
        kind=kind,
        ocsp=f"{pki_url}/ocsp",
        issuer=f"{pki_url}/{bank_code}/{kind.value}.cer",
        folder=f"{pki_url}/{bank_code}",
    )


def serial_number(entropy: Callable[[int], bytes]) -> int:
    """Return 128 random bits as a serial number greater than zero (RFC 5280 section 4.1.2.2)."""
    return int.from_bytes(entropy(16)) or serial_number(entropy)
