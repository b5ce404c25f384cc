"""Issuing CAs that the root revoked, and with each all that it signed. A row is written once and for good."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, insert, select, update

from sekisho.domain.certificate import Reason
from sekisho.domain.issuing_ca import IssuingCa
from sekisho.domain.person import Kind
from sekisho.store.bulk import OfMany
from sekisho.store.tables import certificates, people
from sekisho.store.tables import revoked_cas as t

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, FromClause, Row


# What every issuance runs is built once: building a statement costs more than running it.
_OF_BANKS = OfMany(lambda among: select(t.c.bank, t.c.kind, t.c.generation).where(among(t.c.bank, "banks")))
_OF_BANK = select(t).where(t.c.bank == bindparam("of_bank"))


@dataclass(frozen=True, slots=True)
class RevokedIssuer:
    """An issuing CA with the serial number of its certificate, since when it is revoked and why.

    `noted_at` is when it was noted here, and `told_upto` up to which
    certificate (by its row) the holders were told.
    """

    ca: IssuingCa
    serial: int
    revoked: tuple[datetime, Reason]
    noted_at: datetime
    told_upto: int


def of_certificate() -> ColumnElement[bool]:
    """Return what joins the issuing CA of a certificate, where that is revoked; `people` is joined as well."""
    return and_(
        t.c.bank == people.c.bank,
        t.c.kind == certificates.c.kind,
        t.c.generation == certificates.c.generation,
    )


def stands(issued: FromClause) -> ColumnElement[bool]:
    """Return the condition that no root has revoked the issuing CA of a certificate.

    `issued` is an alias of `certificates`, joined to `people` around it.
    """
    others = t.alias("issuer")
    found = select(others.c.bank).where(
        others.c.bank == people.c.bank,
        others.c.kind == issued.c.kind,
        others.c.generation == issued.c.generation,
    )
    return ~found.correlate(people, issued).exists()


def of_bank(tx: Connection, bank: str) -> dict[IssuingCa, RevokedIssuer]:
    """Return all of a bank."""
    found = [_issuer(row) for row in tx.execute(_OF_BANK, {"of_bank": bank})]
    return {one.ca: one for one in found}


def has(tx: Connection, bank: str, ca: IssuingCa) -> bool:
    """Tell whether an issuing CA is revoked."""
    return bool(among(tx, [(bank, ca)]))


def among(tx: Connection, cas: Collection[tuple[str, IssuingCa]]) -> set[tuple[str, IssuingCa]]:
    """Return those of some banks' issuing CAs that are revoked."""
    if not cas:
        return set()
    rows = _OF_BANKS.run(tx, {"banks": sorted({bank for bank, _ in cas})})
    return {(row.bank, IssuingCa(Kind(row.kind), row.generation)) for row in rows} & set(cas)


def note(
    tx: Connection, bank: str, ca: IssuingCa, serial: int, revoked: tuple[datetime, Reason], now: datetime
) -> bool:
    """Note that an issuing CA is revoked; False where that was noted before."""
    if has(tx, bank, ca):
        return False
    since, reason = revoked
    tx.execute(
        insert(t).values(
            bank=bank,
            kind=ca.kind.value,
            generation=ca.generation,
            serial=serial,
            revoked_at=since,
            reason=reason.value,
            noted_at=now,
        )
    )
    return True


def to_tell_of(tx: Connection, bank: str) -> RevokedIssuer | None:
    """Return one whose holders were not all told yet."""
    row = tx.execute(select(t).where(t.c.bank == bank, t.c.told_at.is_(None)).limit(1)).one_or_none()
    return None if row is None else _issuer(row)


def hold(tx: Connection, bank: str, ca: IssuingCa) -> RevokedIssuer:
    """Return one as it is in `tx`, which alone goes on with telling until its end."""
    query = select(t).where(t.c.bank == bank, t.c.kind == ca.kind.value, t.c.generation == ca.generation)
    return _issuer(tx.execute(query.with_for_update() if tx.dialect.name == "postgresql" else query).one())


def advance(tx: Connection, bank: str, issuer: RevokedIssuer, upto: int | None, now: datetime) -> None:
    """Note up to which certificate the holders were told; None where that was all of them."""
    told: dict[str, Any] = {"told_at": now} if upto is None else {"told_upto": upto}
    mine = and_(t.c.bank == bank, t.c.kind == issuer.ca.kind.value, t.c.generation == issuer.ca.generation)
    tx.execute(update(t).where(mine).values(**told))


def certificates_of(
    tx: Connection, issuer: RevokedIssuer, now: datetime, most: int
) -> tuple[list[tuple[int, int]], int | None]:
    """Return the next certificates (each its row and its person's) that nothing else has ended.

    And the row up to which was looked, None where there are no more. Of the
    certificates of all issuing CAs so many are looked at.
    """
    of = certificates.c
    query = select(of.id, of.person_id, of.kind, of.generation, of.ended_at, of.not_after)
    rows = tx.execute(query.where(of.id > issuer.told_upto).order_by(of.id).limit(most)).all()
    found = [
        (row.id, row.person_id)
        for row in rows
        if (row.kind, row.generation) == (issuer.ca.kind.value, issuer.ca.generation)
        and row.ended_at is None
        and row.not_after > now
    ]
    return found, rows[-1].id if rows else None


def _issuer(row: Row[Any]) -> RevokedIssuer:
    ca = IssuingCa(Kind(row.kind), row.generation)
    return RevokedIssuer(ca, row.serial, (row.revoked_at, Reason(row.reason)), row.noted_at, row.told_upto)
