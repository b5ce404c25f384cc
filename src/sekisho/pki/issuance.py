"""Certificates of persons in numbers: what an issuing CA puts into every one of them is written out once."""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import SubjectKeyIdentifier
from cryptography.x509.oid import NameOID

from sekisho.domain.person import Kind, PersonId
from sekisho.pki import profile
from sekisho.pki.linting.reading import Attribute, Certificate, Written, read

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509

    from sekisho.pki.csr import CertifiedKey
    from sekisho.pki.profile import Addresses, BankName, Order

# With what every issuing CA signs; the same octets have the same signature.
SIGNATURE = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
_GENERALIZED_FROM = 2050  # RFC 5280 section 4.1.2.5
_NOBODY = {Kind.ADMINISTRATOR: None, Kind.USER: "nobody"}


@asn1.sequence
class _Validity:
    not_before: asn1.UTCTime | asn1.GeneralizedTime
    not_after: asn1.UTCTime | asn1.GeneralizedTime


@asn1.sequence
class _Signed:
    """Certificate, RFC 5280 section 4.1."""

    tbs: asn1.TLV
    algorithm: asn1.TLV
    signature: asn1.BitString


class Issuance:
    """What one issuing CA certifies for persons of its kind: the octets of `profile.person`, fifteen times as fast.

    A certificate of nobody is built by `profile.person` and taken apart; in
    every other one serial number, dates, common name, key and the key's
    identifier are put in the place of those, and all is encoded anew. So there
    is one place that says what a certificate looks like.
    """

    def __init__(self, bank: BankName, kind: Kind, *, issuer: x509.Certificate, addresses: Addresses) -> None:
        self._bank = bank
        self._kind = kind
        self._issuer, self._addresses = issuer, addresses
        self._issuer_ends = issuer.not_valid_after_utc
        self._of_shard: dict[int | None, Certificate] = {}

    def to_be_signed(self, order: Order, key: CertifiedKey) -> bytes:
        """Return the TBSCertificate that the order asks for; `key` is what `load_key` returns for its own.

        Raises `ProfileBroken`.
        """
        profile.check_order(order, self._bank, issuer_ends=self._issuer_ends)
        if order.kind is not self._kind:
            raise profile.ProfileBroken("kind")
        if key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != order.spki:
            raise profile.ProfileBroken("key that could be written otherwise")
        same = self._same(order.shard)
        key_id = SubjectKeyIdentifier.from_public_key(key)
        written = Written(type=key_id.oid, critical=False, value=key_id.public_bytes())
        return asn1.encode_der(
            Certificate(
                version=same.version,
                serial=order.serial,
                signature=same.signature,
                issuer=same.issuer,
                validity=_validity(order.not_before, order.not_after),
                subject=[*same.subject[:-1], _common_name(order.common_name)],
                key=_tlv(order.spki),
                extensions=[written if one.type == key_id.oid else one for one in same.extensions],
            )
        )

    def signed(self, tbs: bytes, signature: bytes) -> bytes:
        """Return the certificate of which `tbs` was signed."""
        algorithm = self._same(None).signature
        return asn1.encode_der(_Signed(tbs=_tlv(tbs), algorithm=algorithm, signature=asn1.BitString(signature, 0)))

    def _same(self, shard: int | None) -> Certificate:
        """Return the certificate of nobody in a shard."""
        found = self._of_shard.get(shard)
        if found is None:
            key = ec.generate_private_key(ec.SECP256R1())
            begin = self._issuer.not_valid_before_utc
            order = profile.Order(
                kind=self._kind,
                common_name=PersonId(self._bank.code, "0" * 11, _NOBODY[self._kind]).common_name,
                serial=1,
                spki=key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
                not_before=begin,
                not_after=begin + timedelta(days=1),
                shard=shard,
            )
            builder = profile.person(order, self._bank, issuer=self._issuer, addresses=self._addresses)
            found = read(builder.sign(key, hashes.SHA256()).tbs_certificate_bytes)
            self._of_shard[shard] = found
        return found


def _common_name(text: str) -> asn1.SetOf[Attribute]:
    return asn1.SetOf([Attribute(type=NameOID.COMMON_NAME, value=_tlv(asn1.encode_der(text)))])


@lru_cache(maxsize=64)
def _validity(not_before: datetime, not_after: datetime) -> asn1.TLV:
    return _tlv(asn1.encode_der(_Validity(not_before=_time(not_before), not_after=_time(not_after))))


def _time(at: datetime) -> asn1.UTCTime | asn1.GeneralizedTime:
    return asn1.UTCTime(at) if at.year < _GENERALIZED_FROM else asn1.GeneralizedTime(at)


def _tlv(der: bytes) -> asn1.TLV:
    return asn1.decode_der(asn1.TLV, der)
