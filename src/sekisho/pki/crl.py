"""Certificate revocation lists: RFC 5280 section 5."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509

from sekisho.domain.certificate import Reason

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Revoked:
    """One entry: what was revoked, when and why."""

    serial: int
    at: datetime
    reason: Reason


def revocation_list(
    issuer: x509.Certificate,
    entries: list[Revoked],
    *,
    number: int,
    this_update: datetime,
    next_update: datetime,
) -> x509.CertificateRevocationListBuilder:
    """Return the list to be signed by `issuer`; dates are aware and in whole seconds.

    The builder copies its list at every `add_revoked_certificate`, so the
    entries are handed over at once.
    """
    revoked = []
    for entry in entries:
        builder = x509.RevokedCertificateBuilder().serial_number(entry.serial).revocation_date(entry.at)
        if entry.reason is not Reason.UNSPECIFIED:
            # An absent reason means unspecified (section 5.3.1), which SHOULD NOT be written out.
            builder = builder.add_extension(x509.CRLReason(x509.ReasonFlags(entry.reason.value)), critical=False)
        revoked.append(builder.build())
    key_id = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        x509.CertificateRevocationListBuilder(
            issuer_name=issuer.subject,
            last_update=this_update,
            next_update=next_update,
            revoked_certificates=revoked,
        )
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id), critical=False)
    )
