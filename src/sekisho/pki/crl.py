"""Certificate revocation lists: RFC 5280 section 5.

What a list says of one certificate is written out once, when the certificate
is revoked; a list is these entries one after the other, in a frame, under
one signature. `cryptography` makes the frame. It is not asked to make the
whole list: its builder takes a second for 100,000 entries and half a
gigabyte for a million.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from sekisho.domain.certificate import Reason

if TYPE_CHECKING:
    from sekisho.domain.issuing_ca import IssuingCa

MOST_SHARDS = 1000
LONGEST_LIFE = timedelta(days=10)
_LAST_UTC_TIME = 2049  # section 5.1.2.6
_CODES = {  # section 5.3.1
    Reason.KEY_COMPROMISE: 1,
    Reason.CA_COMPROMISE: 2,
    Reason.AFFILIATION_CHANGED: 3,
    Reason.SUPERSEDED: 4,
    Reason.CESSATION_OF_OPERATION: 5,
    Reason.CERTIFICATE_HOLD: 6,
    Reason.PRIVILEGE_WITHDRAWN: 9,
}
# crlEntryExtensions with a CRLReason alone, up to the reason's code.
_REASON = bytes.fromhex("300c300a0603551d1504030a01")
_REASONS = {code: reason for reason, code in _CODES.items()}
_UTC_OCTETS = 13
_LONGEST_SERIAL = 17
# One of `entry`: its serial number is of so many octets; the ones of 128 random bits come first.
_ENTRY = re.compile(
    b"(?s:%s)"
    % b"|".join(
        rb"\x30.\x02%s.{%d}(?:\x17\x0d[0-9]{12}Z|\x18\x0f[0-9]{14}Z)(?:%s[\x01-\x09])?"
        % (re.escape(bytes([octets])), octets, re.escape(_REASON))
        for octets in reversed(range(1, _LONGEST_SERIAL + 1))
    )
)
_SEQUENCE, _INTEGER, _UTC_TIME, _GENERALIZED_TIME, _BIT_STRING = 0x30, 0x02, 0x17, 0x18, 0x03
_SHORT = 0x80  # a length from here on takes more octets than one


class ListRefused(ValueError):  # noqa: N818 - names what happened
    """What is to be signed is no revocation list that this CA would sign."""


@dataclass(frozen=True, slots=True)
class RevocationList:
    """What a list says: its entries as `entry` wrote them, one after the other, and what stands around them.

    `address` is the distribution point that the list is for, where it holds
    a part of what its issuer revoked; None where it holds all. Dates are
    aware and in whole seconds.
    """

    entries: bytes
    number: int
    this_update: datetime
    next_update: datetime
    address: str | None = None


def list_name(ca: IssuingCa, shard: int | None) -> str:
    """Return what the list of an issuing CA, or of one shard of what it issued, is called in its address."""
    return ca.name if shard is None else f"{ca.name}-{shard}"


def entry(serial: int, at: datetime, reason: Reason) -> bytes:
    """Return one entry of `revokedCertificates` as DER: what was revoked, when (in whole seconds, UTC) and why."""
    number = serial.to_bytes(serial.bit_length() // 8 + 1)
    content = _element(_INTEGER, number) + _time(at)
    if reason is not Reason.UNSPECIFIED:
        # An absent reason means unspecified, which SHOULD NOT be written out (section 5.3.1).
        content += _REASON + bytes([_CODES[reason]])
    return _element(_SEQUENCE, content)


def split(entries: bytes) -> list[bytes]:
    """Return entries one by one. Raises `ListRefused` where one is not as `entry` writes them."""
    found = _ENTRY.findall(entries)
    if sum(map(len, found)) != len(entries):
        raise ListRefused("entries that are none")
    return found


def read_entry(one: bytes) -> tuple[int, datetime, Reason]:
    """Return what an entry that `split` found says. Raises `ListRefused` where it is not as `entry` writes it."""
    after_serial = 4 + one[3]
    after_date = after_serial + 2 + one[after_serial + 1]
    serial = int.from_bytes(one[4:after_serial])
    date = one[after_serial + 2 : after_date].decode()
    try:
        if len(date) == _UTC_OCTETS:
            date = ("20" if date < "50" else "19") + date  # RFC 5280 section 4.1.2.5.1
        year, month, day, hour, minute, second = int(date[:4]), *(int(date[n : n + 2]) for n in range(4, 14, 2))
        at = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        reason = Reason.UNSPECIFIED if after_date == len(one) else _REASONS[one[-1]]
    except (KeyError, ValueError) as wrong:
        raise ListRefused("entries that are none") from wrong
    if entry(serial, at, reason) != one:
        raise ListRefused("entries that are none")
    return serial, at, reason


class Frame:
    """The frame of a list: everything but the entries and the signature, which the key of `issuer` is to make.

    A skeleton with one entry is signed with a key that is thrown away, and
    taken apart at that entry. So no octet around the entries is made here.
    Raises `ListRefused`.
    """

    def __init__(self, issuer: x509.Certificate, asked: RevocationList) -> None:
        if not timedelta(0) < asked.next_update - asked.this_update <= LONGEST_LIFE:
            raise ListRefused("length of life")
        if asked.number < int(asked.this_update.timestamp()):
            # Numbers are made from the clock, so that no database that was restored can count anew.
            raise ListRefused("a number that may have been used")
        marker = x509.RevokedCertificateBuilder().serial_number(int.from_bytes(os.urandom(16)) | 1)
        revoked = marker.revocation_date(asked.this_update).build()
        self._entries = asked.entries
        skeleton = _skeleton(issuer, asked, [revoked] if asked.entries else [])
        tbs = skeleton.tbs_certlist_bytes
        self._algorithm = _algorithm(skeleton)
        content = tbs[_head_length(tbs) :]
        if asked.entries:
            written = _element(_SEQUENCE, entry(revoked.serial_number, revoked.revocation_date_utc, Reason.UNSPECIFIED))
            self._before, self._after = content.split(written)
        else:
            self._before, self._after = content, b""  # a list of nothing has no revokedCertificates

    def to_be_signed(self) -> bytes:
        """Return the TBSCertList."""
        if not self._entries:
            return _element(_SEQUENCE, self._before)
        revoked = _head(_SEQUENCE, len(self._entries))
        length = len(self._before) + len(revoked) + len(self._entries) + len(self._after)
        return b"".join((_head(_SEQUENCE, length), self._before, revoked, self._entries, self._after))

    def signed(self, tbs: bytes, signature: bytes) -> bytes:
        """Return the list. Raises `ListRefused` where the entries are none."""
        bits = _element(_BIT_STRING, b"\x00" + signature)
        length = len(tbs) + len(self._algorithm) + len(bits)
        der = b"".join((_head(_SEQUENCE, length), tbs, self._algorithm, bits))
        try:
            x509.load_der_x509_crl(der)  # reads every entry
        except ValueError as wrong:
            raise ListRefused("entries that are none") from wrong
        return der


def _skeleton(
    issuer: x509.Certificate, asked: RevocationList, revoked: list[x509.RevokedCertificate]
) -> x509.CertificateRevocationList:
    key_id = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        x509.CertificateRevocationListBuilder(
            issuer_name=issuer.subject,
            last_update=asked.this_update,
            next_update=asked.next_update,
            revoked_certificates=revoked,
        )
        .add_extension(x509.CRLNumber(asked.number), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id), critical=False)
    )
    if asked.address is not None:
        builder = builder.add_extension(_point(asked.address), critical=True)
    return builder.sign(_throw_away_key(issuer), hashes.SHA256())


def _point(address: str) -> x509.IssuingDistributionPoint:
    return x509.IssuingDistributionPoint(
        full_name=[x509.UniformResourceIdentifier(address)],
        relative_name=None,
        only_contains_user_certs=False,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )


def _throw_away_key(issuer: x509.Certificate) -> ec.EllipticCurvePrivateKey:
    """Return a key that leaves the same algorithm in the list as the issuer's own."""
    if not isinstance(issuer.public_key(), ec.EllipticCurvePublicKey):
        raise ListRefused("an issuer's key that is not ECDSA")
    return ec.generate_private_key(ec.SECP256R1())


def _algorithm(skeleton: x509.CertificateRevocationList) -> bytes:
    """Return `signatureAlgorithm`, which stands between what is signed and the signature."""
    der, tbs = skeleton.public_bytes(Encoding.DER), skeleton.tbs_certlist_bytes
    bits = _element(_BIT_STRING, b"\x00" + skeleton.signature)
    return der[_head_length(der) + len(tbs) : -len(bits)]


def _time(at: datetime) -> bytes:
    if at.year <= _LAST_UTC_TIME:
        return _element(_UTC_TIME, at.strftime("%y%m%d%H%M%SZ").encode())
    return _element(_GENERALIZED_TIME, at.strftime("%Y%m%d%H%M%SZ").encode())


def _element(tag: int, content: bytes) -> bytes:
    return _head(tag, len(content)) + content


def _head(tag: int, length: int) -> bytes:
    if length < _SHORT:
        return bytes([tag, length])
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([tag, _SHORT | len(octets)]) + octets


def _head_length(der: bytes) -> int:
    """Return how many octets tag and length take."""
    return 2 if der[1] < _SHORT else 2 + (der[1] & ~_SHORT)
