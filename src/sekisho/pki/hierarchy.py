"""A bank's root and its two issuing CAs, made once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from sekisho.domain.person import Kind
from sekisho.pki import profile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
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


def make(
    bank: profile.BankName,
    *,
    pki_url: str,
    now: datetime,
    entropy: Callable[[int], bytes],
    issuing_keys: Mapping[Kind, ec.EllipticCurvePrivateKey] | None = None,
) -> Hierarchy:
    """Make the certificates of a bank, and keys (P-384 for the root, P-256 for the rest) where none are given."""
    now = now.replace(microsecond=0)
    root_key = ec.generate_private_key(ec.SECP384R1())
    root = profile.root(bank, root_key.public_key(), serial_number(entropy), now).sign(root_key, hashes.SHA384())
    issuing = {}
    for kind in Kind:
        key = ec.generate_private_key(ec.SECP256R1()) if issuing_keys is None else issuing_keys[kind]
        builder = profile.issuing(
            bank,
            kind,
            key.public_key(),
            serial_number(entropy),
            now,
            root_certificate=root,
            root_address=f"{pki_url}/{bank.code}/root.cer",
        )
        issuing[kind] = KeyAndCertificate(key, builder.sign(root_key, hashes.SHA384()))
    return Hierarchy(KeyAndCertificate(root_key, root), issuing)


def addresses(bank_code: str, kind: Kind, pki_url: str) -> profile.Addresses:
    """Return where the pki site serves what belongs to the issuing CA of `kind`."""
    return profile.Addresses(
        ocsp=f"{pki_url}/ocsp",
        issuer=f"{pki_url}/{bank_code}/{kind.value}.cer",
        crl=f"{pki_url}/{bank_code}/{kind.value}.crl",
    )


def serial_number(entropy: Callable[[int], bytes]) -> int:
    """Return 128 random bits as a serial number greater than zero (RFC 5280 section 4.1.2.2)."""
    return int.from_bytes(entropy(16)) or serial_number(entropy)
