"""Issued certificates. What they say never changes; what changes is that one ends, once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, case, func, select, update

from sekisho.domain.certificate import Certificate, Ending, IssuedCertificate, KeyHeld, Reason
from sekisho.domain.person import Kind, PersonId
from sekisho.store import bulk
from sekisho.store import revoked_cas as revoked
from sekisho.store.bulk import OfMany
from sekisho.store.tables import audit, certificate_bytes, crl_entries, notices, people, revoked_cas
from sekisho.store.tables import certificates as t

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row, Select

    from sekisho.domain.issuing_ca import IssuingCa
    from sekisho.store.orders import PlacedOrder


def _values(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "order_id": row.order_id,
        "person": PersonId(row.bank, row.contract_id, row.user_id),
        "serial": row.serial,
        "fingerprint": row.fingerprint,
        "not_before": row.not_before,
        "not_after": row.not_after,
        "held": KeyHeld(row.held),
        "issued_at": row.issued_at,
        "ended_at": row.ended_at,
        "ending": None if row.ending is None else Ending(row.ending),
        "reason": None if row.reason is None else Reason(row.reason),
        "supersedes": row.supersedes,
        "first_logon_at": row.first_logon_at,
        "waits_for_logon": row.waits_for_logon,
        "issuer_revoked_at": row.issuer_revoked_at,
        "suspended_at": row.suspended_at,
        "shard": row.shard,
        "generation": row.generation,
    }


def from_row(row: Row[Any]) -> Certificate:
    """Return the certificate of a row: all columns of the table, those of `people` that name the person.

    And when its issuing CA was revoked, as `issuer_revoked_at`.
    """
    return Certificate(**_values(row))


ISSUER_REVOKED_AT = revoked_cas.c.revoked_at.label("issuer_revoked_at")


def selected(*more: Any) -> Select[Any]:
    """Return what selects all that `from_row` reads, and more."""
    return (
        select(t, people.c.bank, people.c.contract_id, people.c.user_id, ISSUER_REVOKED_AT, *more)
        .join(people, people.c.id == t.c.person_id)
        .outerjoin(revoked_cas, revoked.of_certificate())
    )


# What every logon, issuance and renewal runs is built once: building a statement costs more than running it.
_MARK_FIRST_LOGON = (
    update(t)
    .where(t.c.id == bindparam("certificate_id"), t.c.first_logon_at.is_(None))
    .values(first_logon_at=bindparam("now"))
)
_LATEST_OF = OfMany(
    lambda among: selected().where(
        # One that is not ended before any that is: what was ended as it was stored is newer than what still counts.
        t.c.id.in_(
            select(func.coalesce(func.max(case((t.c.ended_at.is_(None), t.c.id))), func.max(t.c.id)))
            .where(among(t.c.person_id, "people"))
            .group_by(t.c.person_id)
        )
    )
)
_ISSUED_OF_ORDERS = OfMany(
    lambda among: (
        selected(certificate_bytes.c.der)
        .join(certificate_bytes, certificate_bytes.c.certificate_id == t.c.id)
        .where(among(t.c.order_id, "orders"))
    )
)
_REVOCATIONS = OfMany(
    lambda among: (
        select(t.c.serial, t.c.ended_at, t.c.reason, t.c.suspended_at, crl_entries.c.changed_at)
        .join(people, people.c.id == t.c.person_id)
        .outerjoin(crl_entries, crl_entries.c.certificate_id == t.c.id)
        .where(
            t.c.kind == bindparam("kind"),
            t.c.generation == bindparam("generation"),
            among(t.c.serial, "serials"),
            people.c.bank == bindparam("bank"),
        )
    )
)


@dataclass(frozen=True, slots=True)
class NewCertificate:
    """What the CA signed for an order, with the SHA-256 of it; `who` is the person of the order."""

    placed: PlacedOrder
    who: PersonId
    der: bytes
    fingerprint: bytes


def add(
    tx: Connection,
    new: Sequence[NewCertificate],
    now: datetime,
    *,
    audited: Sequence[Mapping[str, Any]] = (),
    told: Sequence[Mapping[str, Any]] = (),
) -> list[IssuedCertificate]:
    """Store what the CA signed, and return the certificates in the same order.

    `audited` and `told` are rows of the audit trail and notices about them.
    """
    rows = [
        {
            "order_id": one.placed.id,
            "person_id": one.placed.person_id,
            "kind": one.placed.order.kind.value,
            "serial": one.placed.order.serial,
            "fingerprint": one.fingerprint,
            "not_before": one.placed.order.not_before,
            "not_after": one.placed.order.not_after,
            "held": one.placed.held.value,
            "issued_at": now,
            "supersedes": one.placed.renews_id,
            "shard": one.placed.order.shard,
            "generation": one.placed.order.generation,
            "waits_for_logon": one.placed.unattended,
        }
        for one in new
    ]
    ids = bulk.add_with_ids(tx, t, rows, by="order_id")
    ders = [{"certificate_id": i, "der": one.der} for i, one in zip(ids, new, strict=True)]
    bulk.add_to(tx, [(certificate_bytes, ders), (audit, audited), (notices, told)])
    return [
        IssuedCertificate(
            id=certificate_id,
            order_id=one.placed.id,
            person=one.who,
            serial=one.placed.order.serial,
            fingerprint=one.fingerprint,
            not_before=one.placed.order.not_before,
            not_after=one.placed.order.not_after,
            held=one.placed.held,
            issued_at=now,
            supersedes=one.placed.renews_id,
            shard=one.placed.order.shard,
            generation=one.placed.order.generation,
            waits_for_logon=one.placed.unattended,
            der=one.der,
        )
        for certificate_id, one in zip(ids, new, strict=True)
    ]


def issued_of_orders(tx: Connection, order_ids: Sequence[int]) -> dict[int, IssuedCertificate]:
    """Return what is stored for orders, with the bytes, by the order's row."""
    rows = _ISSUED_OF_ORDERS.run(tx, {"orders": list(order_ids)})
    return {row.order_id: IssuedCertificate(**_values(row), der=row.der) for row in rows}


def of_serial(tx: Connection, serial: int) -> Certificate | None:
    """Return the certificate with that serial number, or None."""
    kinds = [kind.value for kind in Kind]
    row = tx.execute(selected().where(t.c.kind.in_(kinds), t.c.serial == serial)).one_or_none()
    return None if row is None else from_row(row)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a comparison with the CA's journal looks at."""

    id: int
    kind: Kind
    serial: int
    fingerprint: bytes
    ended_at: datetime | None

    @property
    def key(self) -> tuple[Kind, int]:
        """What the journal is ordered by."""
        return self.kind, self.serial


def standing_of(tx: Connection, kind: Kind, serial: int) -> Standing | None:
    """Return how a certificate stands, or None where there is none."""
    columns = select(t.c.id, t.c.fingerprint, t.c.ended_at)
    row = tx.execute(columns.where(t.c.kind == kind.value, t.c.serial == serial)).one_or_none()
    return None if row is None else Standing(row.id, kind, serial, row.fingerprint, row.ended_at)


def in_order(tx: Connection, kind: Kind, *, after: int, most: int) -> list[Standing]:
    """Return certificates of a kind in the order of their serial numbers, from after one on (-1 for all)."""
    query = select(t.c.id, t.c.serial, t.c.fingerprint, t.c.ended_at).where(t.c.kind == kind.value)
    if after >= 0:
        query = query.where(t.c.serial > after)
    rows = tx.execute(query.order_by(t.c.serial).limit(most))
    return [Standing(row.id, kind, row.serial, row.fingerprint, row.ended_at) for row in rows]


def get(tx: Connection, certificate_id: int) -> Certificate:
    """Return the certificate of that row."""
    return from_row(tx.execute(selected().where(t.c.id == certificate_id)).one())


def not_ended(tx: Connection, person_id: int) -> list[Certificate]:
    """Return the person's certificates that nothing has ended, expired ones included, the newest first."""
    rows = tx.execute(selected().where(t.c.person_id == person_id, t.c.ended_at.is_(None)).order_by(t.c.id.desc()))
    return [from_row(row) for row in rows]


def latest_of(tx: Connection, person_ids: Sequence[int]) -> dict[int, Certificate]:
    """Return the newest certificate of each person who ever had one, by the person's row; one not ended comes first."""
    return {row.person_id: from_row(row) for row in _LATEST_OF.run(tx, {"people": list(person_ids)})}


def end(tx: Connection, certificate_id: int, *, ending: Ending, reason: Reason, now: datetime) -> datetime | None:
    """End a certificate for good; None where it had ended already, and then nothing changes.

    Returns since when it is revoked: since `now`, or since it was suspended.
    """
    ended = tx.execute(
        update(t)
        .where(t.c.id == certificate_id, t.c.ended_at.is_(None))
        .values(ended_at=now, ending=ending.value, reason=reason.value)
        .returning(t.c.suspended_at)
    ).one_or_none()
    return None if ended is None else ended.suspended_at or now


def suspend(tx: Connection, certificate_id: int, now: datetime) -> bool:
    """Suspend a certificate; False where it is suspended already or has ended, and then nothing changes."""
    suspended = tx.execute(
        update(t)
        .where(t.c.id == certificate_id, t.c.ended_at.is_(None), t.c.suspended_at.is_(None))
        .values(suspended_at=now)
    )
    return suspended.rowcount == 1


def lift(tx: Connection, certificate_id: int, now: datetime, *, suspended_by: datetime | None = None) -> bool:
    """Lift a suspension, with `suspended_by` one that began by that moment, so that it counts from `now` on.

    False where there is none, or the certificate has ended, and then nothing changes.
    """
    began = t.c.suspended_at.is_not(None) if suspended_by is None else t.c.suspended_at <= suspended_by
    lifted = tx.execute(
        update(t)
        .where(t.c.id == certificate_id, t.c.ended_at.is_(None), began)
        .values(suspended_at=None, counts_from=now)
    )
    return lifted.rowcount == 1


def mark_first_logon(tx: Connection, certificate_id: int, now: datetime) -> bool:
    """Note the first completed logon; tell whether this one was it."""
    return tx.execute(_MARK_FIRST_LOGON, {"certificate_id": certificate_id, "now": now}).rowcount == 1


@dataclass(frozen=True, slots=True)
class Revocation:
    """Whether a certificate is revoked or suspended: since when and why.

    `changed_at` is when that last changed, None where it never did.
    """

    revoked: tuple[datetime, Reason] | None
    changed_at: datetime | None


def revocations(tx: Connection, bank: str, ca: IssuingCa, serials: Collection[int]) -> dict[int, Revocation]:
    """Return how certificates of an issuing CA stand, by their serial numbers; one that is not stored is left out."""
    asked = {"bank": bank, "kind": ca.kind.value, "generation": ca.generation, "serials": list(serials)}
    rows = _REVOCATIONS.run(tx, asked)
    return {row.serial: Revocation(_revoked(row), row.changed_at) for row in rows}


def _revoked(row: Row[Any]) -> tuple[datetime, Reason] | None:
    since = row.suspended_at or row.ended_at
    if since is None:
        return None
    return since, Reason.CERTIFICATE_HOLD if row.reason is None else Reason(row.reason)


def listed(
    tx: Connection, *, after: int = 0, most: int = 1000, person_ids: Sequence[int] | None = None
) -> list[Certificate]:
    """Return certificates in the order of their issue, from after a row's id on."""
    query = selected().where(t.c.id > after).order_by(t.c.id).limit(most)
    if person_ids is not None:
        query = query.where(t.c.person_id.in_(person_ids))
    return [from_row(row) for row in tx.execute(query)]


_NEWEST_OF = OfMany(
    lambda among: (
        selected().where(among(t.c.person_id, "people")).order_by(t.c.person_id, t.c.id.desc()).limit(bindparam("most"))
    )
)


def newest(tx: Connection, issued_since: datetime | None, most: int) -> list[int]:
    """Return the rows of the newest certificates, those issued since a moment where one is named."""
    query = select(t.c.id).order_by(t.c.id.desc()).limit(most)
    if issued_since is not None:
        query = query.where(t.c.issued_at >= issued_since)
    return list(tx.scalars(query))


def issued_of(tx: Connection, certificate_ids: Sequence[int]) -> list[IssuedCertificate]:
    """Return certificates with their bytes, in the order of their issue."""
    rows = tx.execute(
        selected(certificate_bytes.c.der)
        .join(certificate_bytes, certificate_bytes.c.certificate_id == t.c.id)
        .where(t.c.id.in_(certificate_ids))
        .order_by(t.c.id)
    )
    return [IssuedCertificate(**_values(row), der=row.der) for row in rows]


def newest_of(tx: Connection, person_ids: Sequence[int], most: int) -> list[Certificate]:
    """Return certificates of people in whatever state, each one's newest first."""
    return [from_row(row) for row in _NEWEST_OF.run(tx, {"people": list(person_ids), "most": most})]
