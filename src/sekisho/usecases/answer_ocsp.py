"""Answer what is asked about certificates (RFC 6960)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sekisho.domain.certificate import Reason
from sekisho.domain.errors import StoreAway, TooManyRequests
from sekisho.domain.person import Kind
from sekisho.pki import ocsp
from sekisho.pki.ocsp import Answer, Digest, Status
from sekisho.store import certificates, crl_entries, restores, revoked_cas

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sekisho.domain.issuing_ca import IssuingCa
    from sekisho.store.certificates import Revocation
    from sekisho.store.crl_entries import Changed
    from sekisho.store.revoked_cas import RevokedIssuer
    from sekisho.usecases.ports import Ports

LIFE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class AskedAbout:
    """A certificate of an issuing CA; `digest` and `nonce` are echoed."""

    ca: IssuingCa
    digest: Digest
    serial: int
    nonce: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """A signed answer with its dates.

    `changed_at` is when what it tells of the certificate last changed, None
    where it never did. Where the certificate is not `known`, it may become so
    at any time.
    """

    der: bytes
    status: Status
    known: bool
    changed_at: datetime | None
    this_update: datetime
    next_update: datetime


def answer_questions(
    ports: Ports, *, bank: str, asked: Sequence[AskedAbout], may_sign: Callable[[], bool]
) -> list[Answered | Exception]:
    """Return the answer to each question, from what the table says now, or why there is none.

    What is not stored is `unknown`, whatever may have been signed. Anybody
    can make up serial numbers, so each such answer is signed only where
    `may_sign()` says so; else the reason is `TooManyRequests`. Where the
    database is known to be older than the CA's journal, only what is revoked
    is told, and the reason for all else is `StoreAway`. Of an issuing CA that
    was revoked everything is revoked, what nobody here knows of as well: with
    its key anybody may have made it (RFC 6960 section 2.7). Raises `CaAway`
    and `StoreAway`.
    """
    known: dict[tuple[IssuingCa, int], Revocation] = {}
    with ports.db.read() as tx:
        behind = restores.is_behind(tx, bank)
        ended = revoked_cas.of_bank(tx, bank)
        for ca in sorted({one.ca for one in asked}):
            serials = {one.serial for one in asked if one.ca == ca and one.serial.bit_length() <= _SERIAL_BITS}
            if serials:
                found = certificates.revocations(tx, bank, ca, serials)
                known |= {(ca, serial): revocation for serial, revocation in found.items()}
    outcomes: list[Answered | Exception] = [TooManyRequests() for _ in asked]
    wanted = {}
    for at, one in enumerate(asked):
        revocation = known.get((one.ca, one.serial))
        revoked = _revoked(revocation, ended.get(one.ca))
        if behind and revoked is None:
            outcomes[at] = StoreAway()
        elif revocation is not None or may_sign():
            wanted[at] = _answer(one, revoked, known=revocation is not None)
    signed = ports.cas[bank].answer_all(list(wanted.values()))
    for at, der in zip(wanted, signed, strict=True):
        revocation = known.get((asked[at].ca, asked[at].serial))
        changed_at = None if revocation is None else revocation.changed_at
        if isinstance(der, Exception):
            outcomes[at] = der
        else:
            outcomes[at] = Answered(der, wanted[at].status, revocation is not None, changed_at, *ocsp.dates_of(der))
    return outcomes


_SERIAL_BITS = 128  # of ours; a question may name longer ones


def _revoked(revocation: Revocation | None, issuer: RevokedIssuer | None) -> tuple[datetime, Reason] | None:
    """Return since when and why a certificate is revoked: by itself, or with its issuing CA where that came first."""
    own = None if revocation is None else revocation.revoked
    if issuer is None:
        return own
    return issuer.revoked if own is None or own[1] is Reason.CERTIFICATE_HOLD else min(own, issuer.revoked)


def _answer(asked: AskedAbout, revoked: tuple[datetime, Reason] | None, *, known: bool) -> Answer:
    kind, generation = asked.ca
    status = Status.REVOKED if revoked is not None else Status.GOOD if known else Status.UNKNOWN
    return Answer(
        kind, asked.digest, asked.serial, status, LIFE, revoked=revoked, nonce=asked.nonce, generation=generation
    )


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the tables found: when it was, what had changed lately, and which issuing CAs are revoked."""

    at: datetime
    changes: list[Changed]
    revoked_cas: frozenset[IssuingCa]


def changed_since(ports: Ports, *, bank: str, last: datetime | None) -> Look:
    """Return what changed lately: since shortly before the last look, or before now."""
    now = ports.now()
    with ports.db.read() as tx:
        # Whatever changed before the first look was answered from the table after it.
        changes = crl_entries.changed_since(tx, bank, list(Kind), now if last is None else min(last, now))
        return Look(now, changes, frozenset(revoked_cas.of_bank(tx, bank)))
