"""The rules for a person's certificate."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, ExtensionOID, NameOID

from sekisho.domain.person import Kind, common_name_fits
from sekisho.pki.linting.finding import Finding
from sekisho.pki.linting.form import Form, differences
from sekisho.pki.linting.key import ReadingKey
from sekisho.pki.linting.reading import content, key_bits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sekisho.pki.csr import CertifiedKey
    from sekisho.pki.profile import Addresses, BankName, Order

# What stands in an AlgorithmIdentifier: an OID alone, since the parameters of ECDSA are absent (RFC 5758 section 3.2).
ECDSA_WITH_SHA256 = bytes.fromhex("06082a8648ce3d040302")
NO_CA = b"\x30\x00"  # BasicConstraints, an empty sequence: cA is FALSE by default
DIGITAL_SIGNATURE = b"\x03\x02\x07\x80"  # KeyUsage: the first bit and no other
_OCTETS_20 = b"\x04\x14"  # tag and length of an OCTET STRING of a SHA-1
_LONGEST_LIFE = timedelta(days=398)
_SHARDS = 1000
_RSA_BITS = frozenset(range(2048, 4097, 8))
UNITS = {Kind.ADMINISTRATOR: "Administrators", Kind.USER: "Users"}
Extensions = dict[x509.ObjectIdentifier, tuple[bool, bytes]]


class PersonLinter:
    """Reads what one issuing CA is to sign for persons of its kind."""

    def __init__(self, bank: BankName, kind: Kind, *, issuer: x509.Certificate, addresses: Addresses) -> None:
        self._bank = bank
        self._kind = kind
        self._issuer_name = content(issuer.subject.public_bytes())
        self._issuer_ends = issuer.not_valid_after_utc
        self._extensions = _extensions(issuer, addresses)
        self._addresses = addresses
        self._points: dict[int | None, Extensions] = {}

    def guard(self, order: Order, key: ec.EllipticCurvePrivateKey, certified: CertifiedKey) -> ReadingKey:
        """Return the CA's key, for this order alone: it raises `LintFailed` rather than sign anything else.

        `certified` is what `load_key` returns for the order's key.
        """
        return ReadingKey(key, lambda tbs: self.findings(tbs, order, certified))

    def findings(self, tbs: bytes, order: Order, certified: CertifiedKey | None = None) -> list[Finding]:
        """Return every rule that the certificate in `tbs` breaks. `certified` is the order's key, once it is loaded."""
        key = certified or _load(order.spki)
        if key is None:
            return [Finding("key-kind", "no key that can be read")]
        return [*self._of_order(order, key), *differences(tbs, self._form(order))]

    def _form(self, order: Order) -> Form:
        return Form(
            signature=ECDSA_WITH_SHA256,
            serial=order.serial,
            issuer=self._issuer_name,
            not_before=order.not_before,
            not_after=order.not_after,
            subject=[
                (NameOID.COUNTRY_NAME, "JP"),
                (NameOID.ORGANIZATION_NAME, self._bank.organization),
                (NameOID.ORGANIZATIONAL_UNIT_NAME, UNITS[self._kind]),
                (NameOID.COMMON_NAME, order.common_name),
            ],
            key=content(order.spki),
            extensions=self._extensions | _key_identifier(order.spki) | self._distribution_point(order.shard),
        )

    def _distribution_point(self, shard: int | None) -> Extensions:
        known = self._points.get(shard)
        if known is not None:
            return known
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(self._addresses.crl(shard))], None, None, None)
        written = (False, x509.CRLDistributionPoints([point]).public_bytes())
        return self._points.setdefault(shard, {ExtensionOID.CRL_DISTRIBUTION_POINTS: written})

    def _of_order(self, order: Order, key: object) -> Iterator[Finding]:
        """Yield what is wrong with the order itself, which the certificate would only repeat; `key` is its own."""
        if order.kind is not self._kind:
            yield Finding("kind", f"an order for the CA of {order.kind.value}s")
        if not common_name_fits(order.common_name, self._kind, self._bank.code):
            yield Finding("common-name")
        if not timedelta(0) < order.not_after - order.not_before <= _LONGEST_LIFE:
            yield Finding("life", f"{(order.not_after - order.not_before).days} days")
        if order.shard is not None and not 0 <= order.shard < _SHARDS:
            yield Finding("shard", str(order.shard))
        if order.not_after > self._issuer_ends:
            yield Finding("life", "ends after the CA's own certificate")
        if not _key_fits(key):
            yield Finding("key-kind")


def subject_key_identifier(key: object) -> Extensions:
    """Return the extension that names a key: SHA-1 of its BIT STRING (RFC 5280 section 4.2.1.2 (1))."""
    if not isinstance(key, (ec.EllipticCurvePublicKey, rsa.RSAPublicKey)):
        return {}
    identifier = x509.SubjectKeyIdentifier.from_public_key(key)
    return {ExtensionOID.SUBJECT_KEY_IDENTIFIER: (False, identifier.public_bytes())}


def _key_identifier(spki: bytes) -> Extensions:
    """Return the same of a key that is written out, computed without what the certificate was built with."""
    digest = hashlib.sha1(key_bits(spki), usedforsecurity=False).digest()
    return {ExtensionOID.SUBJECT_KEY_IDENTIFIER: (False, _OCTETS_20 + digest)}


def authority_key_identifier(issuer: x509.Certificate) -> Extensions:
    """Return the extension that names the issuer's key as the issuer's certificate does, and nothing else of it."""
    key_id = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    value = x509.AuthorityKeyIdentifier(key_id, authority_cert_issuer=None, authority_cert_serial_number=None)
    return {ExtensionOID.AUTHORITY_KEY_IDENTIFIER: (False, value.public_bytes())}


def _load(spki: bytes) -> object:
    try:
        return load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm):
        return None


def _key_fits(key: object) -> bool:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.curve.name in {"secp256r1", "secp384r1"}
    if not isinstance(key, rsa.RSAPublicKey):
        return False
    numbers = key.public_numbers()
    return numbers.n.bit_length() in _RSA_BITS and numbers.e == 65537  # noqa: PLR2004 - F4


def _extensions(issuer: x509.Certificate, addresses: Addresses) -> Extensions:
    """Return what all persons' certificates have: all extensions but those that name the key and the list."""
    oids = AuthorityInformationAccessOID
    information = [
        x509.AccessDescription(oids.OCSP, x509.UniformResourceIdentifier(addresses.ocsp)),
        x509.AccessDescription(oids.CA_ISSUERS, x509.UniformResourceIdentifier(addresses.issuer)),
    ]
    return {
        ExtensionOID.BASIC_CONSTRAINTS: (True, NO_CA),
        ExtensionOID.KEY_USAGE: (True, DIGITAL_SIGNATURE),
        ExtensionOID.EXTENDED_KEY_USAGE: (
            False,
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]).public_bytes(),
        ),
        **authority_key_identifier(issuer),
        ExtensionOID.AUTHORITY_INFORMATION_ACCESS: (False, x509.AuthorityInformationAccess(information).public_bytes()),
    }
