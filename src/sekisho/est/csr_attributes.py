"""Which request we want: RFC 7030 section 4.5.2 and RFC 9908.

Both ways to say it are sent: the list of attributes that clients have known
since RFC 7030 (the kind of key and how to sign), and the template of RFC 9908
section 3.4, a request with gaps, which a client that knows it takes alone.
The subject is left to the client, because we do not read it.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated

from cryptography import x509
from cryptography.hazmat import asn1

_EC_PUBLIC_KEY = x509.ObjectIdentifier("1.2.840.10045.2.1")
_P256 = x509.ObjectIdentifier("1.2.840.10045.3.1.7")
_ECDSA_WITH_SHA256 = x509.ObjectIdentifier("1.2.840.10045.4.3.2")
_TEMPLATE = x509.ObjectIdentifier("1.2.840.113549.1.9.16.2.61")  # id-aa-certificationRequestInfoTemplate


@asn1.sequence
class _KeyType:
    """An Attribute whose type is a kind of key and whose value its parameter: a curve."""

    type: x509.ObjectIdentifier
    values: asn1.SetOf[x509.ObjectIdentifier]


@asn1.sequence
class _Algorithm:
    """AlgorithmIdentifier of a key on a named curve: RFC 5480 section 2.1.1."""

    algorithm: x509.ObjectIdentifier
    parameters: x509.ObjectIdentifier


@asn1.sequence
class _Key:
    """SubjectPublicKeyInfoTemplate, with the key left to the client."""

    algorithm: _Algorithm


@asn1.sequence
class _Request:
    """CertificationRequestInfoTemplate: version 1, no subject, a key, and no attributes, which yet must be there."""

    version: int
    key: Annotated[_Key, asn1.Implicit(0)]
    attributes: Annotated[asn1.SetOf[_KeyType], asn1.Implicit(1)]


@asn1.sequence
class _Template:
    """An Attribute that holds the template."""

    type: x509.ObjectIdentifier
    values: asn1.SetOf[_Request]


@asn1.sequence
class _CsrAttrs:
    """CsrAttrs, a SEQUENCE OF AttrOrOID of which we send these three."""

    key: _KeyType
    signature: x509.ObjectIdentifier
    template: _Template


@cache
def wanted() -> bytes:
    """Return the DER CsrAttrs: a P-256 key, and a request signed with ECDSA and SHA-256."""
    key = _Key(algorithm=_Algorithm(algorithm=_EC_PUBLIC_KEY, parameters=_P256))
    template = _Request(version=0, key=key, attributes=asn1.SetOf([]))
    return asn1.encode_der(
        _CsrAttrs(
            key=_KeyType(type=_EC_PUBLIC_KEY, values=asn1.SetOf([_P256])),
            signature=_ECDSA_WITH_SHA256,
            template=_Template(type=_TEMPLATE, values=asn1.SetOf([template])),
        )
    )
