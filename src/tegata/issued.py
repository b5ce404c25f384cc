"""Whether a certificate that came is the one that was asked for. A server may be wrong, or lie."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tegata.errors import ServerTrouble

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cryptography.hazmat.primitives.asymmetric import ec

    from tegata.identity import Person

_LONGEST_CHAIN = 4


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and those above it, issuing CA first, as DER."""

    der: bytes
    chain: tuple[bytes, ...]

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate, read."""
        return x509.load_der_x509_certificate(self.der)


def check(
    came: Iterable[x509.Certificate],
    *,
    key: ec.EllipticCurvePublicKey,
    person: Person,
    authorities: Sequence[x509.Certificate],
) -> Issued:
    """Return the certificate for our key and person with its chain, or raise the `ServerTrouble` that fits."""
    ours = [one for one in came if _spki(one) == key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)]
    if not ours:
        raise ServerTrouble("certificate-for-another-key")
    leaf = ours[0]
    if common_name(leaf).casefold() != person.common_name.casefold():
        raise ServerTrouble("certificate-for-another-person", name=common_name(leaf)[:60])
    try:
        usages = list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except (x509.ExtensionNotFound, ValueError):
        usages = []
    if ExtendedKeyUsageOID.CLIENT_AUTH not in usages:
        raise ServerTrouble("certificate-not-usable", detail="clientAuth")
    # The beginning is not looked at: a clock that is behind is doctor's business, and the bank's clock decides.
    if leaf.not_valid_after_utc <= datetime.now(UTC):
        raise ServerTrouble("certificate-not-usable", detail="notAfter")
    chain = chain_of(leaf, authorities)
    if not chain:
        raise ServerTrouble("certificate-not-usable", detail="issuer")
    return Issued(leaf.public_bytes(Encoding.DER), tuple(chain))


def chain_of(leaf: x509.Certificate, authorities: Sequence[x509.Certificate]) -> list[bytes]:
    """Return the certificates above `leaf` whose signatures hold, up to one that is its own issuer."""
    chain: list[x509.Certificate] = []
    below = leaf
    while len(chain) < _LONGEST_CHAIN and below.issuer != below.subject:
        above = next((one for one in authorities if _signed(below, one)), None)
        if above is None:
            break
        chain.append(above)
        below = above
    return [one.public_bytes(Encoding.DER) for one in chain]


def _signed(below: x509.Certificate, above: x509.Certificate) -> bool:
    try:
        below.verify_directly_issued_by(above)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _spki(certificate: x509.Certificate) -> bytes:
    try:
        return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except ValueError:
        return b""


def common_name(certificate: x509.Certificate) -> str:
    """Return the first common name, empty where there is none."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""
