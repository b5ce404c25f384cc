"""A certificate as our table knows it, and whether it counts at a door."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sekisho.domain.errors import (
    CertificateExpired,
    CertificateIssuerRevoked,
    CertificateNotConfirmed,
    CertificateNotYetValid,
    CertificateOtherBank,
    CertificateReissued,
    CertificateRevoked,
    CertificateSuperseded,
    CertificateSuspended,
    CertificateWrongKind,
)

if TYPE_CHECKING:
    from datetime import datetime

    from sekisho.domain.errors import CertificateRefused
    from sekisho.domain.person import Kind, PersonId


class Reason(StrEnum):
    """Why a certificate was revoked: RFC 5280 section 5.3.1, in the spelling of its ReasonFlags.

    Left out are `aACompromise`, which is for attribute authorities, and `removeFromCRL`, which only delta lists have.
    Certificate hold is the one that is no end: the certificate is suspended until that is lifted or it ends for good.
    The journal has their places in this list, so a new one comes last.
    """

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    CERTIFICATE_HOLD = "certificateHold"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"
    CA_COMPROMISE = "cACompromise"


# A person's certificate ends for none of an issuing CA's own reasons, and an issuing CA is never suspended.
REASONS_OF_PERSONS = tuple(reason for reason in Reason if reason is not Reason.CA_COMPROMISE)
REASONS_OF_ISSUING_CAS = tuple(
    reason for reason in Reason if reason not in {Reason.KEY_COMPROMISE, Reason.CERTIFICATE_HOLD}
)


class Ending(StrEnum):
    """What ended a certificate, in the words that its holder is told: the code behind `certificate-…`."""

    REISSUED = "reissued"
    SUPERSEDED = "superseded"
    REVOKED = "revoked"


class KeyHeld(StrEnum):
    """How the key is held, as its holder's software claims."""

    TPM = "tpm"
    TOKEN = "token"  # noqa: S105 - a kind of key store
    OS_NOT_EXPORTABLE = "os-not-exportable"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Certificate:
    """One issued certificate.

    `serial` is a number of at most 128 bits, `fingerprint` the SHA-256 of its
    bytes, which are kept apart: a door needs to know them no further.
    `ended_at` is set once and for good. `supersedes` is the id of the
    certificate that ends at this one's first completed logon.
    `suspended_at` is when it was suspended, until that is lifted; where it
    ends for good meanwhile, it stays. `shard` is the part of the revocation
    list that its distribution point names, None for the undivided list.
    `generation` is that of the issuing CA that signed it, and where that one
    was revoked, `issuer_revoked_at` is since when. One that was renewed
    without a PIN `waits_for_logon` of its person with the one before.
    """

    id: int
    order_id: int
    person: PersonId
    serial: int
    fingerprint: bytes
    not_before: datetime
    not_after: datetime
    held: KeyHeld
    issued_at: datetime
    ended_at: datetime | None = None
    ending: Ending | None = None
    reason: Reason | None = None
    supersedes: int | None = None
    first_logon_at: datetime | None = None
    suspended_at: datetime | None = None
    shard: int | None = None
    generation: int = 1
    waits_for_logon: bool = False
    issuer_revoked_at: datetime | None = None

    @property
    def exportable(self) -> bool:
        """Whether the key can be copied to another computer (エクスポート可能)."""
        return self.held is KeyHeld.FILE

    @property
    def kind(self) -> Kind:
        """Whose door it opens."""
        return self.person.kind

    @property
    def over(self) -> bool:
        """Whether it was ended for good, by itself or with its issuing CA."""
        return self.ended_at is not None or self.issuer_revoked_at is not None

    def gone(self, now: datetime) -> bool:
        """Tell whether nothing brings it back: one that is suspended, or not valid yet, may be in force later."""
        return self.over or now >= self.not_after

    def in_force(self, now: datetime) -> bool:
        """Tell whether it is neither ended nor suspended nor outside its life at `now`."""
        return not self.over and self.suspended_at is None and self.not_before <= now < self.not_after


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCertificate(Certificate):
    """A certificate with its DER bytes, as its holder gets it."""

    der: bytes


_ENDED: dict[Ending, type[CertificateRefused]] = {
    Ending.REISSUED: CertificateReissued,
    Ending.SUPERSEDED: CertificateSuperseded,
    Ending.REVOKED: CertificateRevoked,
}


def ended_as(ending: Ending) -> CertificateRefused:
    """Return the refusal that tells how a certificate ended."""
    return _ENDED[ending]()


def admit(certificate: Certificate, *, bank: str, kind: Kind, now: datetime) -> None:
    """Let the certificate in at the door of `bank` and `kind`, or raise the one refusal that fits best.

    Whose it is comes first, then that it was ended, by itself or with all of
    its issuing CA's, then its dates: an ended certificate stays ended whatever
    the clock says. That it is suspended is
    told before its dates as well, since whoever suspended it is to be asked.
    """
    if certificate.person.bank != bank:
        raise CertificateOtherBank
    if certificate.person.kind is not kind:
        raise CertificateWrongKind
    if certificate.ending is not None:
        raise ended_as(certificate.ending)
    if certificate.issuer_revoked_at is not None:
        raise CertificateIssuerRevoked
    if certificate.suspended_at is not None:
        raise CertificateSuspended
    if certificate.waits_for_logon:
        raise CertificateNotConfirmed
    if now < certificate.not_before:
        raise CertificateNotYetValid
    if now >= certificate.not_after:
        raise CertificateExpired(until=certificate.not_after)
