"""A certificate as it stands in the bytes that are about to be signed: TBSCertificate, RFC 5280 section 4.1.

The parts are kept as they are written, so that a rule can speak of a string's
type or of the form of a date, which a parsed certificate no longer shows.
What has further fields, as unique identifiers would be, is not read at all.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

from cryptography import x509  # noqa: TC002 - the sequences below are made of it
from cryptography.hazmat import asn1


@asn1.sequence
class Attribute:
    """AttributeTypeAndValue, section 4.1.2.4."""

    type: x509.ObjectIdentifier
    value: asn1.TLV


@asn1.sequence
class Written:
    """Extension, section 4.1."""

    type: x509.ObjectIdentifier
    critical: Annotated[bool, asn1.Default(value=False)]
    value: bytes


@asn1.sequence
class Certificate:
    """TBSCertificate. `version` is one less than what it is called."""

    version: Annotated[int, asn1.Explicit(0)]
    serial: int
    signature: asn1.TLV
    issuer: asn1.TLV
    validity: asn1.TLV
    subject: list[asn1.SetOf[Attribute]]
    key: asn1.TLV
    extensions: Annotated[list[Written], asn1.Explicit(3)]


@asn1.sequence
class PublicKey:
    """SubjectPublicKeyInfo, section 4.1.2.7."""

    algorithm: asn1.TLV
    key: asn1.BitString


class Named(NamedTuple):
    """One attribute of a name: what it is, the tag of its string (ASN.1 universal), and the string."""

    type: x509.ObjectIdentifier
    tag: int
    text: str


def read(tbs: bytes) -> Certificate:
    """Return the parts of a certificate that is about to be signed. Raises ValueError."""
    return asn1.decode_der(Certificate, tbs)


def names(subject: list[asn1.SetOf[Attribute]]) -> list[Named]:
    """Return a name's attributes in order. Raises ValueError where one is no text, or shares its place."""
    found = []
    for together in subject:
        (attribute,) = together.as_list()
        text = bytes(attribute.value.data).decode()
        found.append(Named(attribute.type, attribute.value.tag_bytes[0], text))
    return found


def key_bits(spki: bytes) -> bytes:
    """Return what stands in the BIT STRING of a SubjectPublicKeyInfo. Raises ValueError."""
    return asn1.decode_der(PublicKey, spki).key.as_bytes()


def content(der: bytes) -> bytes:
    """Return what stands in a DER value, without its tag and length."""
    return bytes(asn1.decode_der(asn1.TLV, der).data)
