"""Answer what is asked about certificates (RFC 6960)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from sekisho.domain.errors import StoreAway, TooManyRequests
from sekisho.domain.person import Kind
from sekisho.pki import ocsp
from sekisho.pki.ocsp import Answer, Digest, Status
from sekisho.store import certificates, crl_entries, restores

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sekisho.domain.issuing_ca import IssuingCa
    from sekisho.store.certificates import Revocation
    from sekisho.store.crl_entries import Changed
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
    where it never did. What is `unknown` may become known at any time.
    """

    der: bytes
    status: Status
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
    is told, and the reason for all else is `StoreAway`. Raises `CaAway` and
    `StoreAway`.
    """
    known: dict[tuple[IssuingCa, int], Revocation] = {}
    with ports.db.read() as tx:
        behind = restores.is_behind(tx, bank)
        for ca in sorted({one.ca for one in asked}):
            serials = {one.serial for one in asked if one.ca == ca and one.serial.bit_length() <= _SERIAL_BITS}
            if serials:
                found = certificates.revocations(tx, bank, ca, serials)
                known |= {(ca, serial): revocation for serial, revocation in found.items()}
    outcomes: list[Answered | Exception] = [TooManyRequests() for _ in asked]
    wanted = {}
    for at, one in enumerate(asked):
        revocation = known.get((one.ca, one.serial))
        if behind and (revocation is None or revocation.revoked is None):
            outcomes[at] = StoreAway()
        elif revocation is not None or may_sign():
            wanted[at] = _answer(one, revocation)
    signed = ports.cas[bank].answer_all(list(wanted.values()))
    for at, der in zip(wanted, signed, strict=True):
        revocation = known.get((asked[at].ca, asked[at].serial))
        changed_at = None if revocation is None else revocation.changed_at
        if isinstance(der, Exception):
            outcomes[at] = der
        else:
            outcomes[at] = Answered(der, wanted[at].status, changed_at, *ocsp.dates_of(der))
    return outcomes


_SERIAL_BITS = 128  # of ours; a question may name longer ones


def _answer(asked: AskedAbout, revocation: Revocation | None) -> Answer:
    kind, generation = asked.ca
    answer = Answer(kind, asked.digest, asked.serial, Status.UNKNOWN, LIFE, nonce=asked.nonce, generation=generation)
    if revocation is None:
        return answer
    if revocation.revoked is None:
        return replace(answer, status=Status.GOOD)
    return replace(answer, status=Status.REVOKED, revoked=revocation.revoked)


def changed_since(ports: Ports, *, bank: str, last: datetime | None) -> tuple[datetime, list[Changed]]:
    """Return what changed lately: since shortly before the last look, or before now; and when this look was."""
    now = ports.now()
    with ports.db.read() as tx:
        # Whatever changed before the first look was answered from the table after it.
        return now, crl_entries.changed_since(tx, bank, list(Kind), now if last is None else min(last, now))
