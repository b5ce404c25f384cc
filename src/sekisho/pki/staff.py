"""The CA for the console: a root of its own, so that nothing of the customers' hierarchy opens the console.

Its key is used by `sekisho staff` alone, and by nothing that faces a network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sekisho.domain.policy import LONGEST_CERTIFICATE_LIFE
from sekisho.pki.hierarchy import KeyAndCertificate, serial_number
from sekisho.pki.linting.staff import guard_staff, guard_staff_ca
from sekisho.pki.profile import BACKDATE, ISSUING_LIFE, ProfileBroken, key_usage

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from sekisho.pki.profile import BankName

_UNIT = "Staff"


def make_staff_ca(bank: BankName, *, now: datetime, entropy: Callable[[int], bytes]) -> KeyAndCertificate:
    """Make it: held to clientAuth and to names in the staff's subtree (RFC 5280 section 4.2.1.10)."""
    now, key = now.replace(microsecond=0), ec.generate_private_key(ec.SECP256R1())
    serial = serial_number(now, entropy)
    name = _name(bank, (NameOID.COMMON_NAME, f"Sekisho {bank.code} Staff CA"))
    subtree = x509.DirectoryName(_name(bank, (NameOID.ORGANIZATIONAL_UNIT_NAME, _UNIT)))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + ISSUING_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(signs=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.NameConstraints(permitted_subtrees=[subtree], excluded_subtrees=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(guard_staff_ca(key, bank, serial=serial, now=now), hashes.SHA256())
    )
    return KeyAndCertificate(key, certificate)


def issue_staff(
    ca: KeyAndCertificate,
    bank: BankName,
    staff_id: str,
    key: ec.EllipticCurvePublicKey,
    *,
    now: datetime,
    life: timedelta,
    entropy: Callable[[int], bytes],
) -> x509.Certificate:
    """Return the certificate of one of the bank's people. Raises `ProfileBroken` where it would live too long.

    The CA's key reads what it is to sign, as those of the customers' CAs do.
    """
    now = now.replace(microsecond=0)
    if life > LONGEST_CERTIFICATE_LIFE or now + life > ca.certificate.not_valid_after_utc:
        raise ProfileBroken("length of life")
    serial = serial_number(now, entropy)
    guarded = guard_staff(ca.key, bank, staff_id, key=key, issuer=ca.certificate, serial=serial, now=now, life=life)
    issuer_key_id = ca.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    subject = _name(bank, (NameOID.ORGANIZATIONAL_UNIT_NAME, _UNIT), (NameOID.COMMON_NAME, f"{staff_id} {bank.code}"))
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(ca.certificate.subject)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key_id), critical=False)
        .sign(guarded, hashes.SHA256())
    )


def _name(bank: BankName, *more: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    parts = [(NameOID.COUNTRY_NAME, "JP"), (NameOID.ORGANIZATION_NAME, bank.organization), *more]
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])
