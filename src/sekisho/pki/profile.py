"""What each kind of certificate looks like: RFC 5280 section 4."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from sekisho.domain.issuing_ca import FIRST, IssuingCa
from sekisho.domain.person import Kind, common_name_fits
from sekisho.domain.policy import LONGEST_CERTIFICATE_LIFE
from sekisho.pki.crl import MOST_SHARDS, list_name
from sekisho.pki.csr import load_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes

ROOT_LIFE = timedelta(days=20 * 365)
ISSUING_LIFE = timedelta(days=10 * 365)
# The clock of a customer's computer may be behind ours: without a margin its browser
# would call a certificate that is a minute old not yet valid.
BACKDATE = timedelta(hours=1)
FARTHEST_BEGIN = timedelta(days=1)
_UNIT = {Kind.ADMINISTRATOR: "Administrators", Kind.USER: "Users"}


class ProfileBroken(Exception):  # noqa: N818 - names what was found
    """What is asked for is not what this profile allows: a bug or an intruder, never a visitor's mistake."""


class NotYet(ProfileBroken):
    """What is asked for begins in the future: one of two clocks is wrong, which passes."""


@dataclass(frozen=True, slots=True)
class BankName:
    """What stands in every name of a bank's hierarchy: 4-digit code and English name."""

    code: str
    organization: str


@dataclass(frozen=True, slots=True)
class Order:
    """All that decides the bytes of one person's certificate.

    `serial` has at most 128 bits, `spki` is DER, the dates are aware and in
    whole seconds. `shard` is the part of the revocation list that the
    certificate names, None for the undivided list, and `generation` that of
    the issuing CA that signs it. Signing one order twice gives the same bytes.
    """

    kind: Kind
    common_name: str
    serial: int
    spki: bytes
    not_before: datetime
    not_after: datetime
    shard: int | None = None
    generation: int = FIRST


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where relying parties find what belongs to one issuing CA: RFC 5280 sections 4.2.1.13 and 4.2.2.1.

    `folder` holds the bank's revocation lists.
    """

    kind: Kind
    ocsp: str
    issuer: str
    folder: str
    generation: int = FIRST

    def crl(self, shard: int | None) -> str:
        """Return where the revocation list of a shard is, or for None the undivided one."""
        return f"{self.folder}/{list_name(IssuingCa(self.kind, self.generation), shard)}.crl"


@dataclass(frozen=True, slots=True)
class RootAddresses:
    """Where relying parties find the root's certificate and its revocation list."""

    certificate: str
    crl: str


def subject(bank: BankName, kind: Kind, common_name: str | None = None) -> x509.Name:
    """Return the name of a person's certificate, or without `common_name` the subtree that holds them all."""
    parts = [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "JP"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, bank.organization),
        x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, _UNIT[kind]),
    ]
    if common_name is not None:
        parts.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    return x509.Name(parts)


def authority_name(bank: BankName, kind: Kind | None, generation: int = FIRST) -> x509.Name:
    """Return the name of the bank's issuing CA for `kind`, or of its root for None.

    No two issuing CAs share a name: who looks an issuer up by its name would find the wrong key.
    """
    role = "Root CA" if kind is None else f"{_UNIT[kind]} CA"
    if generation > FIRST:
        role += f" {generation}"
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "JP"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, bank.organization),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Sekisho {bank.code} {role}"),
        ]
    )


def key_usage(*, signs: bool) -> x509.KeyUsage:
    """Return what a key is for: an authority's `signs` certificates and lists, any other's proves its holder."""
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def root(bank: BankName, key: CertificateIssuerPublicKeyTypes, serial: int, now: datetime) -> x509.CertificateBuilder:
    """Return the bank's root, to be signed with its own key."""
    name = authority_name(bank, None)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + ROOT_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(key_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def issuing(
    bank: BankName,
    kind: Kind,
    key: CertificateIssuerPublicKeyTypes,
    serial: int,
    now: datetime,
    *,
    root_certificate: x509.Certificate,
    root_addresses: RootAddresses,
    generation: int = FIRST,
) -> x509.CertificateBuilder:
    """Return the issuing CA for `kind`, to be signed by the root.

    It is held to what it issues: no CA below it, clientAuth alone, and names
    inside the subtree of its kind (RFC 5280 section 4.2.1.10), so a user's
    issuing CA cannot make an administrator even with its key stolen. It names
    the root's list, where it stands should it be revoked.
    """
    root_key_id = root_certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        x509.CertificateBuilder()
        .subject_name(authority_name(bank, kind, generation))
        .issuer_name(root_certificate.subject)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + ISSUING_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(signs=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(
            x509.NameConstraints(permitted_subtrees=[x509.DirectoryName(subject(bank, kind))], excluded_subtrees=None),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(root_key_id),
            critical=False,
        )
        .add_extension(
            x509.AuthorityInformationAccess(
                [
                    x509.AccessDescription(
                        AuthorityInformationAccessOID.CA_ISSUERS,
                        x509.UniformResourceIdentifier(root_addresses.certificate),
                    )
                ]
            ),
            critical=False,
        )
        .add_extension(x509.CRLDistributionPoints([_point(root_addresses.crl)]), critical=False)
    )


def check_order(order: Order, bank: BankName, *, issuer_ends: datetime) -> None:
    """Raise `ProfileBroken` unless the order asks for what the profile of its kind allows."""
    if not common_name_fits(order.common_name, order.kind, bank.code):
        raise ProfileBroken("common name")
    if not 0 < order.serial < 1 << 128:
        raise ProfileBroken("serial number")
    if order.not_before.microsecond or order.not_after.microsecond:
        raise ProfileBroken("dates in fractions of a second")
    if order.not_before.utcoffset() != timedelta(0) or order.not_after.utcoffset() != timedelta(0):
        raise ProfileBroken("dates that are not in UTC")
    if not timedelta(0) < order.not_after - order.not_before <= LONGEST_CERTIFICATE_LIFE:
        raise ProfileBroken("length of life")
    if order.not_after > issuer_ends:
        raise ProfileBroken("life beyond the issuer's")
    if order.shard is not None and not 0 <= order.shard < MOST_SHARDS:
        raise ProfileBroken("shard")


def check_life(order: Order, now: datetime) -> None:
    """Raise `ProfileBroken` where the order asks for a life that is over, `NotYet` where it is not to begin about now.

    The clocks of the one who orders and the one who signs may differ by
    hours, as after a step of one of them.
    """
    if order.not_after <= now:
        raise ProfileBroken("life that is over")
    if order.not_before > now + FARTHEST_BEGIN:
        raise NotYet("a life that begins in the future; one of the clocks is wrong")


def person(order: Order, bank: BankName, *, issuer: x509.Certificate, addresses: Addresses) -> x509.CertificateBuilder:
    """Return the certificate that the order asks for, to be signed by the issuing CA of its kind."""
    check_order(order, bank, issuer_ends=issuer.not_valid_after_utc)
    key = load_key(order.spki)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject(bank, order.kind, order.common_name))
        .issuer_name(issuer.subject)
        .public_key(key)
        .serial_number(order.serial)
        .not_valid_before(order.not_before)
        .not_valid_after(order.not_after)
    )
    key_id = x509.SubjectKeyIdentifier.from_public_key(key)
    for extension, critical in _person_extensions(issuer, addresses, order.shard, key_id):
        builder = builder.add_extension(extension, critical=critical)
    return builder


def _point(address: str) -> x509.DistributionPoint:
    return x509.DistributionPoint(
        full_name=[x509.UniformResourceIdentifier(address)], relative_name=None, reasons=None, crl_issuer=None
    )


def _person_extensions(
    issuer: x509.Certificate, addresses: Addresses, shard: int | None, key_id: x509.SubjectKeyIdentifier
) -> list[tuple[x509.ExtensionType, bool]]:
    """Return the extensions of a person's certificate in their order, each with whether it is critical."""
    issuer_key_id = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    information = [
        (AuthorityInformationAccessOID.OCSP, addresses.ocsp),
        (AuthorityInformationAccessOID.CA_ISSUERS, addresses.issuer),
    ]
    return [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (key_usage(signs=False), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False),
        (key_id, False),
        (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key_id), False),
        (
            x509.AuthorityInformationAccess(
                [x509.AccessDescription(what, x509.UniformResourceIdentifier(where)) for what, where in information]
            ),
            False,
        ),
        (x509.CRLDistributionPoints([_point(addresses.crl(shard))]), False),
    ]
