"""Certificates that take another's place: from when on, when the overlap of the two is over, and whose end is near."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, or_, select, update

from sekisho.store import revoked_cas as revoked
from sekisho.store.bulk import OfMany
from sekisho.store.certificates import from_row, selected
from sekisho.store.tables import certificates as t
from sekisho.store.tables import people, revoked_cas

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, FromClause, Select

    from sekisho.domain.certificate import Certificate

# What every renewal runs is built once: building a statement costs more than running it.
_SUCCESSORS = OfMany(lambda among: selected().where(among(t.c.supersedes, "certificates"), t.c.ended_at.is_(None)))


def of(tx: Connection, certificate_ids: Sequence[int]) -> list[Certificate]:
    """Return the certificates not ended that take the place of one of these at their first completed logon."""
    return [from_row(row) for row in _SUCCESSORS.run(tx, {"certificates": list(certificate_ids)})]


def confirm(tx: Connection, certificate_id: int, now: datetime) -> None:
    """Let those count from `now` on that wait for a logon with this one."""
    tx.execute(
        update(t)
        .where(t.c.supersedes == certificate_id, t.c.waits_for_logon.is_(True))
        .values(waits_for_logon=False, counts_from=now)
    )


def people_with_overlap_over(tx: Connection, bank: str, counted_before: datetime, most: int) -> list[int]:
    """Return the rows of a bank's people of whom `with_overlap_over` has something to return, some at a time."""
    query = select(t.c.person_id).join(people, people.c.id == t.c.person_id).where(people.c.bank == bank)
    return list(tx.scalars(_with_overlap_over(query, counted_before).limit(most)))


def with_overlap_over(tx: Connection, person_ids: Sequence[int], counted_before: datetime) -> list[Certificate]:
    """Return certificates of people that are not ended, and whose successor has counted since before a moment."""
    query = selected().where(t.c.person_id.in_(person_ids))
    return [from_row(row) for row in tx.execute(_with_overlap_over(query, counted_before))]


def _with_overlap_over(query: Select[Any], counted_before: datetime) -> Select[Any]:
    """Narrow a query down to certificates whose successor has counted for so long.

    A successor's first logon ends the older one itself, so only those that
    were never used are looked at: with the index of these, few.
    """
    newer = t.alias("newer")
    return query.join(newer, newer.c.supersedes == t.c.id).where(
        t.c.ended_at.is_(None),
        newer.c.supersedes.is_not(None),
        newer.c.first_logon_at.is_(None),
        # The index goes by its issue, and none counts before that.
        newer.c.issued_at <= counted_before,
        or_(newer.c.counts_from.is_(None), newer.c.counts_from <= counted_before),
        _counts(newer),
    )


def _counts(newer: FromClause) -> ColumnElement[bool]:
    """Return the condition that a certificate opens the door: only such a one takes another's place."""
    return and_(
        newer.c.ended_at.is_(None),
        newer.c.suspended_at.is_(None),
        newer.c.waits_for_logon.is_(False),
        revoked.stands(newer),
    )


@dataclass(frozen=True, slots=True)
class Ends:
    """A certificate on its way to its end.

    `dealt_with` where it was ended, by itself or with its issuing CA, or the person has a newer one that counts.
    """

    id: int
    person_id: int
    issued_at: datetime
    not_after: datetime
    dealt_with: bool


def by_end(tx: Connection, bank: str, *, after: tuple[datetime, int], until: datetime, most: int) -> list[Ends]:
    """Return certificates in the order of their ends and rows: those after a place in it, up to a moment."""
    reached_at, reached_id = after
    newer = t.alias("newer")
    replaced = (
        select(newer.c.id).where(newer.c.person_id == t.c.person_id, newer.c.id > t.c.id, _counts(newer)).exists()
    )
    rows = tx.execute(
        select(
            t.c.id,
            t.c.person_id,
            t.c.issued_at,
            t.c.not_after,
            or_(t.c.ended_at.is_not(None), revoked_cas.c.revoked_at.is_not(None), replaced).label("dealt_with"),
        )
        .join(people, people.c.id == t.c.person_id)
        .outerjoin(revoked_cas, revoked.of_certificate())
        .where(
            people.c.bank == bank,
            t.c.not_after >= reached_at,
            or_(t.c.not_after > reached_at, t.c.id > reached_id),
            t.c.not_after <= until,
        )
        .order_by(t.c.not_after, t.c.id)
        .limit(most)
    )
    return [Ends(row.id, row.person_id, row.issued_at, row.not_after, bool(row.dealt_with)) for row in rows]
