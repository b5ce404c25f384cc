"""The form that one certificate has to have, and where it has not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - a field
from typing import TYPE_CHECKING

from cryptography.hazmat import asn1
from cryptography.x509.oid import ExtensionOID, NameOID

from sekisho.pki.linting import reading
from sekisho.pki.linting.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cryptography import x509

_SEQUENCE = b"\x30"
_V3 = 2
_PRINTABLE_STRING, _UTF8_STRING = 0x13, 0x0C
# RFC 5280 section 4.1.2.5: UTCTime through 2049, GeneralizedTime from then on.
_GENERALIZED_FROM = 2050
_LONGEST_NAME = 64  # ub-common-name, ub-organization-name, ub-organizational-unit-name: RFC 5280 appendix A.1
RULE_OF_EXTENSION = {
    ExtensionOID.BASIC_CONSTRAINTS: "basic-constraints",
    ExtensionOID.KEY_USAGE: "key-usage",
    ExtensionOID.EXTENDED_KEY_USAGE: "extended-key-usage",
    ExtensionOID.SUBJECT_KEY_IDENTIFIER: "subject-key-identifier",
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER: "authority-key-identifier",
    ExtensionOID.AUTHORITY_INFORMATION_ACCESS: "authority-information-access",
    ExtensionOID.CRL_DISTRIBUTION_POINTS: "crl-distribution-points",
    ExtensionOID.NAME_CONSTRAINTS: "name-constraints",
    ExtensionOID.OCSP_NO_CHECK: "ocsp-no-check",
}


@dataclass(frozen=True, slots=True)
class Form:
    """What each part has to be.

    `signature` is the content of the DER AlgorithmIdentifier (what stands
    behind its tag and length), `issuer` that of the name of whoever signs, as
    it stands in that one's certificate, `key` that of the SubjectPublicKeyInfo.
    `subject` holds the name's attributes in order, `extensions` for each
    extension whether it is critical and its DER value.
    """

    signature: bytes
    serial: int
    issuer: bytes
    not_before: datetime
    not_after: datetime
    subject: Sequence[tuple[x509.ObjectIdentifier, str]]
    key: bytes
    extensions: Mapping[x509.ObjectIdentifier, tuple[bool, bytes]]


def differences(tbs: bytes, form: Form) -> Iterator[Finding]:
    """Yield a finding for each part of the certificate in `tbs` that is not as `form` says."""
    try:
        read = reading.read(tbs)
    except ValueError:
        yield Finding("structure", "cannot be read, or has fields that no profile of ours has")
        return
    if any(part.tag_bytes != _SEQUENCE for part in (read.signature, read.issuer, read.validity, read.key)):
        yield Finding("structure", "a part that is no sequence")
    if read.version != _V3:
        yield Finding("version", f"v{read.version + 1}")
    if read.serial != form.serial or not 0 < read.serial < 1 << 128:
        yield Finding("serial-number", f"{read.serial.bit_length()} bits")
    if read.signature.data != form.signature:
        yield Finding("signature-algorithm")
    if read.issuer.data != form.issuer:
        yield Finding("issuer", "not the name in the CA's own certificate, octet for octet")
    if read.validity.data != _validity(form.not_before, form.not_after):
        yield Finding("validity", "other dates than ordered, or in another form")
    yield from _subject(read, form)
    if read.key.data != form.key:
        yield Finding("key", "not the key that was ordered")
    yield from _extensions(read, form)


def _subject(read: reading.Certificate, form: Form) -> Iterator[Finding]:
    try:
        names = reading.names(read.subject)
    except ValueError:
        yield Finding("subject-strings", "an attribute that is no single text")
        return
    if [(name.type, name.text) for name in names] != list(form.subject):
        yield Finding("subject", "not the name that was ordered")
    for name in names:
        if name.tag != (_PRINTABLE_STRING if name.type == NameOID.COUNTRY_NAME else _UTF8_STRING):
            yield Finding("subject-strings", f"{name.type.dotted_string} has tag {name.tag:#04x}")
        # str.isprintable: no control and format characters, no surrogates, nothing unassigned, no space but " ".
        if not name.text.isprintable() or name.text != name.text.strip():
            yield Finding("subject-characters", name.type.dotted_string)
        if not 0 < len(name.text) <= _LONGEST_NAME:
            yield Finding("subject-length", f"{name.type.dotted_string} has {len(name.text)} characters")


def _extensions(read: reading.Certificate, form: Form) -> Iterator[Finding]:
    seen = set()
    for written in read.extensions:
        rule = RULE_OF_EXTENSION.get(written.type, written.type.dotted_string)
        if written.type in seen:
            yield Finding("extension-twice", rule)
        seen.add(written.type)
        expected = form.extensions.get(written.type)
        if expected is None:
            yield Finding("extension-unexpected", rule)
            continue
        critical, value = expected
        if written.critical is not critical:
            yield Finding("extension-critical", f"{rule} is {'' if written.critical else 'not '}critical")
        if written.value != value:
            yield Finding(rule)
    for missing in form.extensions.keys() - seen:
        yield Finding("extension-missing", RULE_OF_EXTENSION[missing])


def _validity(*dates: datetime) -> bytes:
    return b"".join(
        asn1.encode_der(asn1.UTCTime(date) if date.year < _GENERALIZED_FROM else asn1.GeneralizedTime(date))
        for date in dates
    )
