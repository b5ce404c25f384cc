"""The rules for a bank's root and issuing CAs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, ExtensionOID, NameOID

from sekisho.pki.linting.form import Form, differences
from sekisho.pki.linting.key import ReadingKey
from sekisho.pki.linting.person import UNITS, authority_key_identifier, subject_key_identifier
from sekisho.pki.linting.reading import content

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric import ec

    from sekisho.domain.person import Kind
    from sekisho.pki.linting.person import Extensions
    from sekisho.pki.profile import BankName, RootAddresses

ECDSA_WITH_SHA384 = bytes.fromhex("06082a8648ce3d040303")
_BEGUN_BEFORE = timedelta(hours=1)
_ROOT_LIFE, _ISSUING_LIFE = timedelta(days=7300), timedelta(days=3650)
# BasicConstraints: cA TRUE, and how many CAs may stand below.
_ONE_BELOW, NONE_BELOW = bytes.fromhex("30060101ff020101"), bytes.fromhex("30060101ff020100")
# KeyUsage: keyCertSign and cRLSign, bits 5 and 6.
SIGNS = bytes.fromhex("03020106")


@dataclass(frozen=True, slots=True)
class Made:
    """What is decided when a CA is made: its key, the serial number of its certificate, and when."""

    key: ec.EllipticCurvePublicKey
    serial: int
    now: datetime


def guard_root(key: ec.EllipticCurvePrivateKey, bank: BankName, *, serial: int, now: datetime) -> ReadingKey:
    """Return a root's key for its own certificate, made `now` (in whole seconds): anything else raises `LintFailed`."""
    form = root_form(bank, Made(key.public_key(), serial, now))
    return ReadingKey(key, lambda tbs: list(differences(tbs, form)))


def guard_issuing(
    root_key: ec.EllipticCurvePrivateKey,
    bank: BankName,
    kind: Kind,
    *,
    key: ec.EllipticCurvePublicKey,
    serial: int,
    now: datetime,
    root: x509.Certificate,
    root_addresses: RootAddresses,
    generation: int = 1,
) -> ReadingKey:
    """Return the root's key for one issuing CA, which has `key`: anything else raises `LintFailed`."""
    made = Made(key, serial, now)
    form = issuing_form(bank, kind, made, root=root, root_addresses=root_addresses, generation=generation)
    return ReadingKey(root_key, lambda tbs: list(differences(tbs, form)))


def root_form(bank: BankName, made: Made) -> Form:
    """Return what a root has to be: one CA may stand below it, and it names no issuer but itself."""
    subject = _subject(bank, "Root CA")
    return Form(
        signature=ECDSA_WITH_SHA384,
        serial=made.serial,
        issuer=content(name_of(subject).public_bytes()),
        not_before=made.now - _BEGUN_BEFORE,
        not_after=made.now + _ROOT_LIFE,
        subject=subject,
        key=spki_of(made.key),
        extensions=_of_every_authority(made, _ONE_BELOW),
    )


def issuing_form(
    bank: BankName,
    kind: Kind,
    made: Made,
    *,
    root: x509.Certificate,
    root_addresses: RootAddresses,
    generation: int = 1,
) -> Form:
    """Return what an issuing CA has to be: none below it, clientAuth alone, held to the names of its kind.

    It names the root's certificate and the root's list.
    """
    role = f"{UNITS[kind]} CA" if generation == 1 else f"{UNITS[kind]} CA {generation}"
    tree = [*organization(bank), (NameOID.ORGANIZATIONAL_UNIT_NAME, UNITS[kind])]
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    constraints = x509.NameConstraints([x509.DirectoryName(name_of(tree))], None)
    certificate, crl = (x509.UniformResourceIdentifier(one) for one in (root_addresses.certificate, root_addresses.crl))
    above = x509.AuthorityInformationAccess(
        [x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, certificate)]
    )
    points = x509.CRLDistributionPoints([x509.DistributionPoint([crl], None, None, None)])
    return Form(
        signature=ECDSA_WITH_SHA384,
        serial=made.serial,
        issuer=content(root.subject.public_bytes()),
        not_before=made.now - _BEGUN_BEFORE,
        not_after=made.now + _ISSUING_LIFE,
        subject=_subject(bank, role),
        key=spki_of(made.key),
        extensions={
            **_of_every_authority(made, NONE_BELOW),
            **authority_key_identifier(root),
            ExtensionOID.EXTENDED_KEY_USAGE: (False, usage.public_bytes()),
            ExtensionOID.NAME_CONSTRAINTS: (True, constraints.public_bytes()),
            ExtensionOID.AUTHORITY_INFORMATION_ACCESS: (False, above.public_bytes()),
            ExtensionOID.CRL_DISTRIBUTION_POINTS: (False, points.public_bytes()),
        },
    )


def _of_every_authority(made: Made, below: bytes) -> Extensions:
    return {
        ExtensionOID.BASIC_CONSTRAINTS: (True, below),
        ExtensionOID.KEY_USAGE: (True, SIGNS),
        **subject_key_identifier(made.key),
    }


def organization(bank: BankName) -> list[tuple[x509.ObjectIdentifier, str]]:
    """Return how every name in a bank's certificates begins."""
    return [(NameOID.COUNTRY_NAME, "JP"), (NameOID.ORGANIZATION_NAME, bank.organization)]


def _subject(bank: BankName, role: str) -> list[tuple[x509.ObjectIdentifier, str]]:
    return [*organization(bank), (NameOID.COMMON_NAME, f"Sekisho {bank.code} {role}")]


def name_of(attributes: list[tuple[x509.ObjectIdentifier, str]]) -> x509.Name:
    """Return a name of these attributes."""
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in attributes])


def spki_of(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return the content of a key's SubjectPublicKeyInfo."""
    return content(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
