"""The rules for the certificate of an issuing CA's OCSP responder."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from sekisho.pki.linting.form import Form, differences
from sekisho.pki.linting.key import ReadingKey
from sekisho.pki.linting.person import (
    DIGITAL_SIGNATURE,
    ECDSA_WITH_SHA256,
    NO_CA,
    UNITS,
    authority_key_identifier,
    subject_key_identifier,
)
from sekisho.pki.linting.reading import content

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric import ec

    from sekisho.domain.person import Kind
    from sekisho.pki.profile import BankName

_BEGUN_BEFORE = timedelta(hours=1)
_LIFE = timedelta(days=7)
_NULL = b"\x05\x00"  # the value of id-pkix-ocsp-nocheck: RFC 6960 section 4.2.2.2.1


def guard_responder(
    issuer_key: ec.EllipticCurvePrivateKey,
    bank: BankName,
    kind: Kind,
    *,
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Certificate,
    serial: int,
    now: datetime,
) -> ReadingKey:
    """Return the issuing CA's key for its responder, which has `key`: anything else raises `LintFailed`."""
    form = responder_form(bank, kind, key=key, issuer=issuer, serial=serial, now=now)
    return ReadingKey(issuer_key, lambda tbs: list(differences(tbs, form)))


def responder_form(
    bank: BankName,
    kind: Kind,
    *,
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Certificate,
    serial: int,
    now: datetime,
) -> Form:
    """Return what a responder's certificate has to be: good for OCSP alone, for a week, and asked about by nobody."""
    return Form(
        signature=ECDSA_WITH_SHA256,
        serial=serial,
        issuer=content(issuer.subject.public_bytes()),
        not_before=now - _BEGUN_BEFORE,
        not_after=min(now + _LIFE, issuer.not_valid_after_utc),
        subject=[
            (NameOID.COUNTRY_NAME, "JP"),
            (NameOID.ORGANIZATION_NAME, bank.organization),
            (NameOID.ORGANIZATIONAL_UNIT_NAME, UNITS[kind]),
            (NameOID.COMMON_NAME, "OCSP responder"),
        ],
        key=content(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
        extensions={
            ExtensionOID.BASIC_CONSTRAINTS: (True, NO_CA),
            ExtensionOID.KEY_USAGE: (True, DIGITAL_SIGNATURE),
            ExtensionOID.EXTENDED_KEY_USAGE: (
                False,
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]).public_bytes(),
            ),
            ExtensionOID.OCSP_NO_CHECK: (False, _NULL),
            **subject_key_identifier(key),
            **authority_key_identifier(issuer),
        },
    )
