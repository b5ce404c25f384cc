"""What the revocation lists say of each certificate that is revoked or suspended, written out already.

A row is written with every change, and stays where a suspension was lifted:
so what has changed lately is found by an index, by the lists and by whoever
keeps answers about certificates. It follows from the table of certificates.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from sekisho.domain.certificate import Reason
from sekisho.domain.issuing_ca import IssuingCa
from sekisho.domain.person import Kind
from sekisho.pki import crl
from sekisho.store.bulk import OfMany
from sekisho.store.tables import certificates
from sekisho.store.tables import crl_entries as t

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sqlalchemy import ColumnElement, Connection

    from sekisho.domain.certificate import Certificate

LATELY = timedelta(minutes=10)
"""How long after its moment a change may be seen first.

Longer than any transaction lasts, its use case included, and than the clocks of two nodes differ.
Rows do not come in the order of their moments, so "what is newer than the newest that I know" would miss some.
"""
_AT_ONCE = 10_000
_MICROSECOND = timedelta(microseconds=1)
_REVOKED = OfMany(
    lambda among: select(
        certificates.c.serial, certificates.c.reason, certificates.c.suspended_at, certificates.c.ended_at
    ).where(among(certificates.c.id, "certificates"))
)
_JOURNALED = OfMany(
    lambda among: update(t).where(among(t.c.certificate_id, "certificates")).values(journal_due_at=None)
)
_REMOVE = OfMany(lambda among: delete(t).where(among(t.c.certificate_id, "certificates")))


@dataclass(frozen=True, slots=True)
class Changed:
    """A certificate of an issuing CA whose revocation was written, changed or lifted at a moment."""

    certificate_id: int
    ca: IssuingCa
    shard: int | None
    serial: int
    at: datetime


def put(tx: Connection, certificate: Certificate, revoked: tuple[datetime, Reason] | None, now: datetime) -> None:
    """Write when and why a certificate was revoked, or None where it is revoked no more.

    The moment of a change is later than that of the one before, whatever the
    clock says: who knows the moment knows the state. An end for good is due
    in the CA's journal from then on.
    """
    entry, due = None, None
    if revoked is not None:
        at, reason = revoked
        entry = crl.entry(certificate.serial, min(at, now).astimezone(UTC), reason)
        due = None if reason is Reason.CERTIFICATE_HOLD else now
    mine = t.c.certificate_id == certificate.id
    last = tx.scalar(select(t.c.changed_at).where(mine))
    if last is not None:
        tx.execute(
            update(t).where(mine).values(changed_at=max(now, last + _MICROSECOND), entry=entry, journal_due_at=due)
        )
        return
    tx.execute(
        insert(t).values(
            certificate_id=certificate.id,
            bank=certificate.person.bank,
            kind=certificate.kind.value,
            shard=certificate.shard,
            generation=certificate.generation,
            serial=certificate.serial,
            not_after=certificate.not_after,
            changed_at=now,
            entry=entry,
            journal_due_at=due,
        )
    )


@dataclass(frozen=True, slots=True)
class ToJournal:
    """An end that the CA's journal was not told of yet: kind, serial number, since when and why."""

    certificate_id: int
    ended: tuple[Kind, int, datetime, Reason]


def to_journal(tx: Connection, bank: str, most: int) -> list[ToJournal]:
    """Return some of these, the oldest first."""
    rows = tx.execute(
        select(t.c.certificate_id, t.c.kind, t.c.entry)
        .where(t.c.journal_due_at.is_not(None), t.c.bank == bank, t.c.entry.is_not(None))
        .order_by(t.c.journal_due_at)
        .limit(most)
    )
    return [ToJournal(row.certificate_id, (Kind(row.kind), *crl.read_entry(row.entry))) for row in rows]


def mark_journaled(tx: Connection, certificate_ids: Sequence[int]) -> None:
    """Note that the journal has the ends of these certificates."""
    _JOURNALED.run(tx, {"certificates": list(certificate_ids)})


def joined(tx: Connection, bank: str, ca: IssuingCa, shard: int | None, *, since: datetime, now: datetime) -> bytes:
    """Return the entries of one list: of a shard, or for None of all, one after the other.

    What had expired before `since` is left out. A list names no moment after
    its own, `now`, whatever a clock that was ahead had written.
    """
    entries = bytearray()
    rows = tx.execute(
        select(t.c.entry)
        .where(*_of(bank, ca, shard), t.c.entry.is_not(None), t.c.not_after >= since, t.c.changed_at <= now)
        .execution_options(yield_per=_AT_ONCE)
    )
    for some in rows.partitions():
        entries += b"".join([row[0] for row in some])
    ahead = tx.scalars(
        select(t.c.certificate_id).where(
            *_of(bank, ca, shard), t.c.entry.is_not(None), t.c.not_after >= since, t.c.changed_at > now
        )
    ).all()
    for row in _REVOKED.run(tx, {"certificates": list(ahead)}) if ahead else ():
        reason = Reason.CERTIFICATE_HOLD if row.reason is None else Reason(row.reason)
        at = min(row.suspended_at or row.ended_at, now)
        entries += crl.entry(row.serial, at.astimezone(UTC), reason)
    return bytes(entries)


def changed_since(tx: Connection, bank: str, kinds: Collection[Kind], moment: datetime) -> list[Changed]:
    """Return what changed since shortly before a moment, whatever clock wrote it."""
    rows = tx.execute(
        select(t.c.certificate_id, t.c.kind, t.c.generation, t.c.shard, t.c.serial, t.c.changed_at).where(
            t.c.bank == bank, t.c.kind.in_([kind.value for kind in kinds]), t.c.changed_at > moment - LATELY
        )
    )
    return [
        Changed(row.certificate_id, IssuingCa(Kind(row.kind), row.generation), row.shard, row.serial, row.changed_at)
        for row in rows
    ]


def lately(changes: Iterable[Changed], shard: int | None, *, until: datetime) -> bytes:
    """Return a digest of what changed in a list of one issuing CA since shortly before `until`.

    `changes` are at least all those of the issuing CA. Two digests that are
    alike mean that a list made at `until` lacks nothing.
    """
    of_list = sorted(
        (one.certificate_id, one.at.isoformat())
        for one in changes
        if one.at > until - LATELY and (shard is None or one.shard == shard)
    )
    return hashlib.sha256(repr(of_list).encode()).digest()


def expired(tx: Connection, bank: str, kind: Kind, before: datetime, most: int) -> list[int]:
    """Return some certificates (by their rows) that expired before a moment and are still written of here."""
    old = select(t.c.certificate_id).where(t.c.bank == bank, t.c.kind == kind.value, t.c.not_after < before)
    return list(tx.scalars(old.order_by(t.c.not_after).limit(most)))


def remove(tx: Connection, certificate_ids: Sequence[int]) -> None:
    """Remove what no list says any more."""
    _REMOVE.run(tx, {"certificates": list(certificate_ids)})


def _of(bank: str, ca: IssuingCa, shard: int | None) -> list[ColumnElement[bool]]:
    whole = [t.c.bank == bank, t.c.kind == ca.kind.value, t.c.generation == ca.generation]
    return whole if shard is None else [*whole, t.c.shard == shard]
