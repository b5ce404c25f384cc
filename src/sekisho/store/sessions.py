"""Sessions: a person logged on in one browser with one certificate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, func, insert, select, update

from sekisho.domain.person import PersonId
from sekisho.domain.session import Session, SessionEnd
from sekisho.store.bulk import OfMany
from sekisho.store.tables import certificates, orders, people
from sekisho.store.tables import sessions as t

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row


@dataclass(frozen=True, slots=True)
class PastLogon:
    """A completed logon: when, from which address, and what the computer is called that it came from."""

    at: datetime
    address: str
    computer: str | None = None


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session that a user of a contract has open."""

    id: int
    person_id: int
    user_id: str
    name: str
    opened_at: datetime
    address: str
    computer: str | None


# No row has this id.
_NO_SESSION = 0
# What every logon and every page runs is built once: building a statement costs more than running it.
_OPEN = insert(t).returning(t.c.id)
_SELECT = select(t, people.c.bank, people.c.contract_id, people.c.user_id).join(people, people.c.id == t.c.person_id)
_OF_TOKEN = _SELECT.where(t.c.token_sha256 == bindparam("token"))
_GET = _SELECT.where(t.c.id == bindparam("session_id"))
_REMOVE = OfMany(lambda among: delete(t).where(among(t.c.id, "rows")))
_END_OF_PEOPLE = (
    update(t)
    .where(t.c.person_id.in_(bindparam("people", expanding=True)), t.c.ended_at.is_(None), t.c.id != bindparam("but"))
    .values(ended_at=bindparam("now"), end=bindparam("why"))
)


_END_OF_CERTIFICATES = OfMany(
    lambda among: (
        update(t)
        .where(among(t.c.certificate_id, "certificates"), t.c.ended_at.is_(None))
        .values(ended_at=bindparam("now"), end=bindparam("why"))
    )
)
_LAST_LOGON_OF = OfMany(
    lambda among: (
        select(t.c.person_id, func.max(t.c.completed_at).label("at"))
        .where(among(t.c.person_id, "people"), t.c.completed_at.is_not(None))
        .group_by(t.c.person_id)
    )
)


def open_session(
    tx: Connection,
    *,
    token_sha256: bytes,
    person_id: int,
    certificate_id: int,
    address: str,
    positions: Sequence[int],
    now: datetime,
) -> int:
    """Write a session and return its id. With `positions` its logon is not complete."""
    row = tx.execute(
        _OPEN,
        {
            "token_sha256": token_sha256,
            "person_id": person_id,
            "certificate_id": certificate_id,
            "address": address,
            "opened_at": now,
            "seen_at": now,
            "positions": ",".join(map(str, positions)),
            "completed_at": None if positions else now,
        },
    ).one()
    session_id: int = row.id
    return session_id


def of_token(tx: Connection, token_sha256: bytes) -> Session | None:
    """Return the session of a cookie (SHA-256 of its token), ended or not, or None."""
    row = tx.execute(_OF_TOKEN, {"token": token_sha256}).one_or_none()
    return None if row is None else _session(row)


def get(tx: Connection, session_id: int) -> Session | None:
    """Return the session of that row, ended or not, or None where it was removed."""
    row = tx.execute(_GET, {"session_id": session_id}).one_or_none()
    return None if row is None else _session(row)


def _session(row: Row[Any]) -> Session:
    return Session(
        id=row.id,
        person=PersonId(row.bank, row.contract_id, row.user_id),
        certificate_id=row.certificate_id,
        opened_at=row.opened_at,
        seen_at=row.seen_at,
        positions=tuple(int(position) for position in row.positions.split(",") if position),
        ended_at=row.ended_at,
        end=None if row.end is None else SessionEnd(row.end),
    )


def complete(tx: Connection, session_id: int, token_sha256: bytes, now: datetime) -> bool:
    """Mark the last step of a logon as done, under a new token; False where it ended or was complete before."""
    done = tx.execute(
        update(t)
        .where(t.c.id == session_id, t.c.ended_at.is_(None), t.c.completed_at.is_(None))
        .values(token_sha256=token_sha256, positions="", completed_at=now, seen_at=now)
    )
    return done.rowcount == 1


def touch(tx: Connection, session_id: int, now: datetime) -> None:
    """Note that the person is there."""
    tx.execute(update(t).where(t.c.id == session_id, t.c.ended_at.is_(None)).values(seen_at=now))


def end(tx: Connection, session_id: int, why: SessionEnd, now: datetime) -> bool:
    """End one session; False where it had ended already."""
    ended = tx.execute(
        update(t).where(t.c.id == session_id, t.c.ended_at.is_(None)).values(ended_at=now, end=why.value)
    )
    return ended.rowcount == 1


def end_of_people(
    tx: Connection, person_ids: Sequence[int], why: SessionEnd, now: datetime, *, but: int | None = None
) -> int:
    """End the open sessions of people, except one, and return how many ended."""
    values = {"people": list(person_ids), "but": but or _NO_SESSION, "now": now, "why": why.value}
    return tx.execute(_END_OF_PEOPLE, values).rowcount


def end_of_certificate(tx: Connection, certificate_id: int, now: datetime) -> int:
    """End the sessions that a certificate opened, and return how many that were."""
    return tx.execute(
        update(t)
        .where(t.c.certificate_id == certificate_id, t.c.ended_at.is_(None))
        .values(ended_at=now, end=SessionEnd.CERTIFICATE.value)
    ).rowcount


def end_of_certificates(tx: Connection, certificate_ids: Sequence[int], now: datetime) -> int:
    """End the sessions that any of these certificates opened, and return how many that were."""
    values = {"certificates": list(certificate_ids), "now": now, "why": SessionEnd.CERTIFICATE.value}
    ended: int = _END_OF_CERTIFICATES.run(tx, values).rowcount
    return ended


def last_logons(tx: Connection, person_id: int, most: int, *, but: int | None = None) -> list[PastLogon]:
    """Return the person's last completed logons, the newest first, without the session `but`."""
    query = (
        select(t.c.completed_at, t.c.address, orders.c.computer)
        .join(certificates, certificates.c.id == t.c.certificate_id)
        .join(orders, orders.c.id == certificates.c.order_id)
        .where(t.c.person_id == person_id, t.c.completed_at.is_not(None))
    )
    if but is not None:
        query = query.where(t.c.id != but)
    rows = tx.execute(query.order_by(t.c.completed_at.desc()).limit(most))
    return [PastLogon(at=row.completed_at, address=row.address, computer=row.computer) for row in rows]


def address_of(tx: Connection, session_id: int) -> str:
    """Return the address that a session was opened from."""
    address: str = tx.execute(select(t.c.address).where(t.c.id == session_id)).scalar_one()
    return address


def open_of_users(
    tx: Connection,
    bank: str,
    contract_id: str,
    *,
    opened_after: datetime,
    seen_after: datetime,
    session_id: int | None = None,
) -> list[OpenSession]:
    """Return what the contract's users have open, in the order of their IDs, or of that only one session.

    A session that lasted too long or was idle too long is over, whether or
    not anybody met that.
    """
    query = (
        select(t.c.id, t.c.person_id, people.c.user_id, people.c.name, t.c.opened_at, t.c.address, orders.c.computer)
        .join(people, people.c.id == t.c.person_id)
        .join(certificates, certificates.c.id == t.c.certificate_id)
        .join(orders, orders.c.id == certificates.c.order_id)
        .where(
            people.c.bank == bank,
            people.c.contract_id == contract_id,
            people.c.user_key != "",
            t.c.ended_at.is_(None),
            # Nobody completes a logon before it was opened; the index goes by this column.
            t.c.completed_at > opened_after,
            t.c.opened_at > opened_after,
            t.c.seen_at > seen_after,
        )
        .order_by(people.c.user_key, t.c.id)
    )
    if session_id is not None:
        query = query.where(t.c.id == session_id)
    return [OpenSession(**row._mapping) for row in tx.execute(query)]  # noqa: SLF001 - SQLAlchemy's public name for it


def was_ended_for_user(tx: Connection, bank: str, contract_id: str, session_id: int) -> bool:
    """Tell whether a session of a user of the contract was ended by the administrator."""
    found = tx.execute(
        select(t.c.id)
        .join(people, people.c.id == t.c.person_id)
        .where(
            t.c.id == session_id,
            t.c.end == SessionEnd.BY_ADMINISTRATOR.value,
            people.c.bank == bank,
            people.c.contract_id == contract_id,
        )
    )
    return found.first() is not None


def remove_old(tx: Connection, opened_before: datetime, most: int) -> int:
    """Remove sessions for good, the oldest first, and return how many."""
    old = list(tx.scalars(select(t.c.id).where(t.c.opened_at < opened_before).order_by(t.c.opened_at).limit(most)))
    removed: int = _REMOVE.run(tx, {"rows": old}).rowcount if old else 0
    return removed


def last_logon_of(tx: Connection, person_ids: Sequence[int]) -> dict[int, datetime]:
    """Return the last completed logon of each person who ever logged on, by the person's row."""
    return {row.person_id: row.at for row in _LAST_LOGON_OF.run(tx, {"people": list(person_ids)})}


def put_challenge(tx: Connection, session_id: int, challenge: bytes) -> None:
    """Keep what a passkey has to sign next."""
    tx.execute(update(t).where(t.c.id == session_id, t.c.ended_at.is_(None)).values(challenge=challenge))


def challenge_of(tx: Connection, session_id: int) -> bytes | None:
    """Return what a passkey has to sign next, or None where nothing was asked or it was answered."""
    challenge: bytes | None = tx.scalar(select(t.c.challenge).where(t.c.id == session_id))
    return challenge


def take_challenge(tx: Connection, session_id: int, challenge: bytes) -> bool:
    """Take the question away, so that it is answered once; False where it was answered before."""
    taken = tx.execute(update(t).where(t.c.id == session_id, t.c.challenge == challenge).values(challenge=None))
    return taken.rowcount == 1
