"""What goes between the CA and its root, which is kept where no network is: a request out, a certificate in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from sekisho.domain.issuing_ca import FIRST, LAST, IssuingCa
from sekisho.domain.person import Kind
from sekisho.pki import hierarchy, profile

if TYPE_CHECKING:
    from datetime import datetime

_ROOT_NAME = re.compile(r"Sekisho (\d{4}) Root CA")


class NotOfThisBank(Exception):  # noqa: N818 - names what was found
    """A file is not what it should be; the text says in what."""


def write_request(bank: profile.BankName, ca: IssuingCa, key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the request (PKCS #10, PEM) for an issuing CA."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(profile.authority_name(bank, *ca))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def read_request(pem: bytes, bank: profile.BankName) -> tuple[IssuingCa, ec.EllipticCurvePublicKey]:
    """Return for which issuing CA a request is, and its key. Raises `NotOfThisBank`."""
    try:
        request = x509.load_pem_x509_csr(pem)
        holds = request.is_signature_valid
        key = request.public_key()
    except (ValueError, InvalidSignature) as unreadable:
        raise NotOfThisBank("the request cannot be read") from unreadable
    if not holds:
        raise NotOfThisBank("the request is not signed by the key that it brings")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise NotOfThisBank("the request's key is not of the curve P-256")
    for ca in (IssuingCa(kind, generation) for kind in Kind for generation in range(FIRST, LAST + 1)):
        if request.subject == profile.authority_name(bank, *ca):
            return ca, key
    raise NotOfThisBank(f"the request is for {request.subject.rfc4514_string()}, which is no issuing CA of this bank")


def bank_of_root(root: x509.Certificate) -> profile.BankName:
    """Return whose root a certificate is. Raises `NotOfThisBank` where it is none."""
    try:
        (organization,) = root.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        (common_name,) = root.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        found = _ROOT_NAME.fullmatch(str(common_name.value))
        root.verify_directly_issued_by(root)
    except (ValueError, InvalidSignature, TypeError) as other:
        raise NotOfThisBank("the certificate is no root that Sekisho made") from other
    if found is None:
        raise NotOfThisBank("the certificate is no root that Sekisho made")
    return profile.BankName(found[1], str(organization.value))


def check_issuing(
    certificate: x509.Certificate,
    bank: profile.BankName,
    ca: IssuingCa,
    key: ec.EllipticCurvePublicKey,
    *,
    root: x509.Certificate,
    pki_url: str,
    now: datetime,
) -> None:
    """Raise `NotOfThisBank` unless this is what the root was asked for, to the letter of the profile."""
    if certificate.public_key() != key:
        raise NotOfThisBank("the certificate is for another key than was requested")
    try:
        certificate.verify_directly_issued_by(root)
    except (ValueError, InvalidSignature, TypeError) as other:
        raise NotOfThisBank("the certificate is not signed by this bank's root") from other
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        raise NotOfThisBank("the certificate is not in force today")
    wanted = profile.issuing(
        bank,
        ca.kind,
        key,
        certificate.serial_number,
        certificate.not_valid_before_utc + profile.BACKDATE,
        root_certificate=root,
        root_addresses=hierarchy.root_addresses(bank.code, pki_url),
        generation=ca.generation,
    ).sign(ec.generate_private_key(ec.SECP384R1()), hashes.SHA384())
    # All but the signature is the same.
    if certificate.tbs_certificate_bytes != wanted.tbs_certificate_bytes:
        raise NotOfThisBank("the certificate says something else than the profile of an issuing CA")
