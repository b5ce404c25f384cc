"""A bank's root and its two issuing CAs, made once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from sekisho.domain.issuing_ca import FIRST, IssuingCa
from sekisho.domain.person import Kind
from sekisho.pki import profile
from sekisho.pki.linting.authority import guard_issuing, guard_root

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from cryptography import x509


ROOT = "root"
_RANDOM_BITS = 96
"""What the root's files and addresses are called, its list among them."""


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

    @property
    def cas(self) -> dict[IssuingCa, KeyAndCertificate]:
        """The issuing CAs, which are the first of each kind."""
        return {IssuingCa(kind): pair for kind, pair in self.issuing.items()}


def make(
    bank: profile.BankName,
    *,
    pki_url: str,
    now: datetime,
    entropy: Callable[[int], bytes],
    issuing_keys: Mapping[Kind, ec.EllipticCurvePrivateKey] | None = None,
) -> Hierarchy:
    """Make the certificates of a bank, and keys (P-384 for the root, P-256 for the rest) where none are given."""
    root = make_root(bank, now=now, entropy=entropy)
    issuing = {}
    for kind in Kind:
        key = ec.generate_private_key(ec.SECP256R1()) if issuing_keys is None else issuing_keys[kind]
        certificate = certify_issuing(root, bank, kind, key.public_key(), pki_url=pki_url, now=now, entropy=entropy)
        issuing[kind] = KeyAndCertificate(key, certificate)
    return Hierarchy(root, issuing)


def make_root(bank: profile.BankName, *, now: datetime, entropy: Callable[[int], bytes]) -> KeyAndCertificate:
    """Make a bank's root."""
    now, serial = now.replace(microsecond=0), serial_number(now, entropy)
    key = ec.generate_private_key(ec.SECP384R1())
    builder = profile.root(bank, key.public_key(), serial, now)
    return KeyAndCertificate(key, builder.sign(guard_root(key, bank, serial=serial, now=now), hashes.SHA384()))


def certify_issuing(
    root: KeyAndCertificate,
    bank: profile.BankName,
    kind: Kind,
    key: ec.EllipticCurvePublicKey,
    *,
    pki_url: str,
    now: datetime,
    entropy: Callable[[int], bytes],
    generation: int = FIRST,
) -> x509.Certificate:
    """Return the issuing CA of that generation for `kind` with this key, signed by the root."""
    now, serial = now.replace(microsecond=0), serial_number(now, entropy)
    above = root_addresses(bank.code, pki_url)
    builder = profile.issuing(
        bank,
        kind,
        key,
        serial,
        now,
        root_certificate=root.certificate,
        root_addresses=above,
        generation=generation,
    )
    guarded = guard_issuing(
        root.key,
        bank,
        kind,
        key=key,
        serial=serial,
        now=now,
        root=root.certificate,
        root_addresses=above,
        generation=generation,
    )
    return builder.sign(guarded, hashes.SHA384())


def root_addresses(bank_code: str, pki_url: str) -> profile.RootAddresses:
    """Return where the pki site serves what belongs to the root."""
    return profile.RootAddresses(f"{pki_url}/{bank_code}/root.cer", f"{pki_url}/{bank_code}/{ROOT}.crl")


def addresses(bank_code: str, kind: Kind, pki_url: str, generation: int = FIRST) -> profile.Addresses:
    """Return where the pki site serves what belongs to the issuing CA of that generation for `kind`."""
    return profile.Addresses(
        kind=kind,
        ocsp=f"{pki_url}/ocsp",
        issuer=f"{pki_url}/{bank_code}/{IssuingCa(kind, generation).name}.cer",
        folder=f"{pki_url}/{bank_code}",
        generation=generation,
    )


def serial_number(now: datetime, entropy: Callable[[int], bytes]) -> int:
    """Return a serial number of 128 bits: the seconds since 1970, then 96 random bits (RFC 5280 section 4.1.2.2).

    What is issued today lies side by side in every index of serial numbers,
    however many there are; 64 random bits are what others ask for.
    """
    return int(now.timestamp()) << _RANDOM_BITS | int.from_bytes(entropy(_RANDOM_BITS // 8))
