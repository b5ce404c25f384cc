"""The root's revocation list: which issuing CAs are revoked (RFC 5280 section 5), signed where the root's key is.

Each list names all that the one before it named. It is for every certificate
of the root and not divided, since there are a few of them in twenty years.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from sekisho.domain.certificate import REASONS_OF_ISSUING_CAS, Reason
from sekisho.pki.authority_request import NotOfThisBank

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sekisho.pki.hierarchy import KeyAndCertificate

LIFE = timedelta(days=365)


class RevokedCa(NamedTuple):
    """A certificate of the root that is revoked: its serial number, since when (in whole seconds), and why."""

    serial: int
    at: datetime
    reason: Reason


@dataclass(frozen=True, slots=True)
class RootList:
    """What a list of the root says, with its bytes."""

    number: int
    this_update: datetime
    next_update: datetime
    revoked: tuple[RevokedCa, ...]
    der: bytes

    @property
    def pem(self) -> bytes:
        """The list as it goes on a stick."""
        return x509.load_der_x509_crl(self.der).public_bytes(Encoding.PEM)


def sign(
    root: KeyAndCertificate,
    last: RootList | None,
    *,
    now: datetime,
    life: timedelta = LIFE,
    revoke: Sequence[tuple[int, Reason]] = (),
) -> RootList:
    """Return the list that follows `last`, with the certificates of these serial numbers revoked `now` besides.

    Raises `NotOfThisBank` where one of them was revoked before.
    """
    now = now.replace(microsecond=0)
    before = () if last is None else last.revoked
    if known := {one.serial for one in before} & {serial for serial, _ in revoke}:
        raise NotOfThisBank(f"the certificate with serial number {min(known):032x} was revoked before")
    # As the numbers of the other lists: no copy of files that was brought back can make it fall behind.
    number = max(int(now.timestamp()), 0 if last is None else last.number + 1)
    key_id = root.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(root.certificate.subject)
        .last_update(now)
        .next_update(now + life)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id), critical=False)
    )
    for one in (*before, *(RevokedCa(serial, now, reason) for serial, reason in revoke)):
        builder = builder.add_revoked_certificate(_entry(one))
    return read(builder.sign(root.key, hashes.SHA384()).public_bytes(Encoding.DER), root.certificate)


def read(data: bytes, root: x509.Certificate) -> RootList:
    """Read a list (DER or PEM) of this root. Raises `NotOfThisBank` where it is none, or none as `sign` makes."""
    try:
        found = x509.load_pem_x509_crl(data) if data.startswith(b"-----") else x509.load_der_x509_crl(data)
        revoked = tuple(map(_read_entry, found))
        number = found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        kinds = {extension.oid for extension in found.extensions}
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension) as unreadable:
        raise NotOfThisBank("this is no revocation list of a root") from unreadable
    if found.issuer != root.subject or not found.is_signature_valid(root.public_key()):  # type: ignore[arg-type] # any key may be tried
        raise NotOfThisBank("the revocation list is not signed by this bank's root")
    # A list of a part, or of some reasons, says nothing about the rest.
    if kinds != {x509.CRLNumber.oid, x509.AuthorityKeyIdentifier.oid} or found.next_update_utc is None:
        raise NotOfThisBank("the revocation list is not one that Sekisho makes")
    der = found.public_bytes(Encoding.DER)
    return RootList(number, found.last_update_utc, found.next_update_utc, revoked, der)


def check_follows(new: RootList, last: RootList | None) -> None:
    """Raise `NotOfThisBank` where a list is older than the last one, or has forgotten what that one named."""
    if last is None:
        return
    if new.number < last.number or (new.number == last.number and new.der != last.der):
        raise NotOfThisBank("the revocation list is no newer than the one that is here")
    if not set(last.revoked) <= set(new.revoked):
        raise NotOfThisBank("the revocation list lacks what the one that is here has")


def _entry(one: RevokedCa) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder().serial_number(one.serial).revocation_date(one.at)
    if one.reason is not Reason.UNSPECIFIED:
        # An absent reason means unspecified, which SHOULD NOT be written out (section 5.3.1).
        builder = builder.add_extension(x509.CRLReason(x509.ReasonFlags(one.reason)), critical=False)
    return builder.build()


def _read_entry(one: x509.RevokedCertificate) -> RevokedCa:
    """Return what an entry says. Raises ValueError, x509.ExtensionNotFound."""
    reason = Reason.UNSPECIFIED
    if len(one.extensions):
        found = one.extensions.get_extension_for_class(x509.CRLReason)
        reason = Reason(found.value.reason.value)
        if len(one.extensions) > 1 or reason not in REASONS_OF_ISSUING_CAS:
            raise ValueError("an entry that is not of an issuing CA")
    return RevokedCa(one.serial_number, one.revocation_date_utc, reason)
