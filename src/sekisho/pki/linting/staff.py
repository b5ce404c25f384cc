"""The rules for the certificates of the console: the staff's CA and the bank's own people."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from sekisho.pki.linting.authority import NONE_BELOW, SIGNS, name_of, organization, spki_of
from sekisho.pki.linting.form import Form, differences
from sekisho.pki.linting.key import ReadingKey
from sekisho.pki.linting.person import (
    DIGITAL_SIGNATURE,
    ECDSA_WITH_SHA256,
    NO_CA,
    authority_key_identifier,
    subject_key_identifier,
)
from sekisho.pki.linting.reading import content

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric import ec

    from sekisho.pki.profile import BankName

_BEGUN_BEFORE = timedelta(hours=1)
_CA_LIFE = timedelta(days=3650)
_CLIENT_AUTH = (False, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]).public_bytes())
_UNIT = (NameOID.ORGANIZATIONAL_UNIT_NAME, "Staff")


def guard_staff_ca(key: ec.EllipticCurvePrivateKey, bank: BankName, *, serial: int, now: datetime) -> ReadingKey:
    """Return the key of the staff's CA for its own certificate: anything else raises `LintFailed`."""
    form = staff_ca_form(bank, key=key.public_key(), serial=serial, now=now)
    return ReadingKey(key, lambda tbs: list(differences(tbs, form)))


def guard_staff(
    ca_key: ec.EllipticCurvePrivateKey,
    bank: BankName,
    staff_id: str,
    *,
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Certificate,
    serial: int,
    now: datetime,
    life: timedelta,
) -> ReadingKey:
    """Return the CA's key for one of the bank's people, who has `key`: anything else raises `LintFailed`."""
    form = staff_form(bank, staff_id, key=key, issuer=issuer, serial=serial, now=now, life=life)
    return ReadingKey(ca_key, lambda tbs: list(differences(tbs, form)))


def staff_ca_form(bank: BankName, *, key: ec.EllipticCurvePublicKey, serial: int, now: datetime) -> Form:
    """Return what the staff's CA has to be: a root with none below it, held to the staff's names and to clientAuth."""
    subject = [*organization(bank), (NameOID.COMMON_NAME, f"Sekisho {bank.code} Staff CA")]
    constraints = x509.NameConstraints([x509.DirectoryName(name_of([*organization(bank), _UNIT]))], None)
    return Form(
        signature=ECDSA_WITH_SHA256,
        serial=serial,
        issuer=content(name_of(subject).public_bytes()),
        not_before=now - _BEGUN_BEFORE,
        not_after=now + _CA_LIFE,
        subject=subject,
        key=spki_of(key),
        extensions={
            ExtensionOID.BASIC_CONSTRAINTS: (True, NONE_BELOW),
            ExtensionOID.KEY_USAGE: (True, SIGNS),
            ExtensionOID.EXTENDED_KEY_USAGE: _CLIENT_AUTH,
            ExtensionOID.NAME_CONSTRAINTS: (True, constraints.public_bytes()),
            **subject_key_identifier(key),
        },
    )


def staff_form(
    bank: BankName,
    staff_id: str,
    *,
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Certificate,
    serial: int,
    now: datetime,
    life: timedelta,
) -> Form:
    """Return what the certificate of one of the bank's people has to be: good for a TLS client, and for no more."""
    return Form(
        signature=ECDSA_WITH_SHA256,
        serial=serial,
        issuer=content(issuer.subject.public_bytes()),
        not_before=now - _BEGUN_BEFORE,
        not_after=now + life,
        subject=[*organization(bank), _UNIT, (NameOID.COMMON_NAME, f"{staff_id} {bank.code}")],
        key=spki_of(key),
        extensions={
            ExtensionOID.BASIC_CONSTRAINTS: (True, NO_CA),
            ExtensionOID.KEY_USAGE: (True, DIGITAL_SIGNATURE),
            ExtensionOID.EXTENDED_KEY_USAGE: _CLIENT_AUTH,
            **subject_key_identifier(key),
            **authority_key_identifier(issuer),
        },
    )
