"""Contracts and their people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, case, delete, func, insert, or_, select, update

from sekisho.domain.company_name import search_key
from sekisho.domain.contract import GUESSES_COUNT, Person
from sekisho.domain.person import PersonId
from sekisho.store.bulk import OfMany
from sekisho.store.tables import contract_names, contracts, permits
from sekisho.store.tables import people as t

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row, Select

_administrator = t.alias("administrator")


def open_contract(tx: Connection, who: PersonId, now: datetime) -> None:
    """Note that the person's contract is open from now on."""
    tx.execute(
        update(contracts)
        .where(
            contracts.c.bank == who.bank, contracts.c.contract_id == who.contract_id, contracts.c.opened_at.is_(None)
        )
        .values(opened_at=now)
    )


def rename_contract(tx: Connection, who: PersonId, *, name: str, kana: str | None) -> None:
    """Change a company's name; it is found by the new name and its reading, and by none before."""
    of = contracts.c
    here = (of.bank == who.bank, of.contract_id == who.contract_id)
    branch = tx.scalar(update(contracts).where(*here).values(name=name).returning(of.branch))
    named = contract_names.c
    tx.execute(delete(contract_names).where(named.bank == who.bank, named.contract_id == who.contract_id))
    _name_contract(tx, who.bank, who.contract_id, (name, kana), branch)


def end_contract(tx: Connection, who: PersonId, now: datetime) -> None:
    """Note that a contract is over."""
    of = contracts.c
    here = (of.bank == who.bank, of.contract_id == who.contract_id, of.ended_at.is_(None))
    tx.execute(update(contracts).where(*here).values(ended_at=now))


def _name_contract(
    tx: Connection, bank: str, contract_id: str, names: tuple[str, str | None], branch: str | None
) -> None:
    for key in dict.fromkeys(filter(None, (search_key(name or "") for name in names))):
        tx.execute(insert(contract_names).values(bank=bank, key=key, contract_id=contract_id, branch=branch))


def add(
    tx: Connection,
    who: PersonId,
    *,
    name: str,
    mail_address: str | None,
    language: str,
    now: datetime,
    applications: Sequence[str] = (),
) -> int:
    """Register a person and return their row's id."""
    row = tx.execute(
        insert(t)
        .values(
            bank=who.bank,
            contract_id=who.contract_id,
            user_id=who.user_id,
            user_key=who.user_key,
            name=name,
            mail_address=mail_address,
            language=language,
            registered_at=now,
            applications=list(applications),
        )
        .returning(t.c.id)
    ).one()
    person_id: int = row.id
    return person_id


def _select() -> Select[Any]:
    return (
        select(
            t,
            contracts.c.name.label("contract_name"),
            contracts.c.opened_at.label("contract_opened_at"),
            _administrator.c.closed_at.label("contract_closed_at"),
            _administrator.c.stopped_at.label("contract_stopped_at"),
        )
        .join(contracts, and_(contracts.c.bank == t.c.bank, contracts.c.contract_id == t.c.contract_id))
        .join(
            _administrator,
            and_(
                _administrator.c.bank == t.c.bank,
                _administrator.c.contract_id == t.c.contract_id,
                _administrator.c.user_key == "",
            ),
        )
    )


def _person(row: Row[Any]) -> Person:
    return Person(
        id=row.id,
        who=PersonId(row.bank, row.contract_id, row.user_id),
        name=row.name,
        contract_name=row.contract_name,
        mail_address=row.mail_address,
        language=row.language,
        closed_at=row.closed_at if row.user_id is not None else None,
        contract_closed_at=row.contract_closed_at,
        stopped_at=row.stopped_at if row.user_id is not None else None,
        contract_stopped_at=row.contract_stopped_at,
        applications=tuple(row.applications or ()),
        mail_confirmed=row.mail_confirmed_at is not None,
        contract_opened_at=row.contract_opened_at,
        guesses=row.guesses,
        guesses_since=row.guesses_since,
    )


# What every logon runs is built once: building a statement costs more than running it.
_FIND = _select().where(
    t.c.bank == bindparam("bank"),
    t.c.contract_id == bindparam("contract_id"),
    t.c.user_key == bindparam("user_key"),
    t.c.deleted_at.is_(None),
)
_GET = _select().where(t.c.id == bindparam("person_id"))
# Each row for this transaction alone, in an order that is everybody's. SQLite has one writer and needs no lock.
_LOCK = OfMany(
    lambda among: select(t.c.id).where(among(t.c.id, "people")).order_by(t.c.id).with_for_update(key_share=True)
)
_GET_ALL = OfMany(lambda among: _select().where(among(t.c.id, "people")))
_ADMINISTRATORS = OfMany(
    lambda among: (
        select(t.c.id, _administrator.c.id.label("administrator_id"))
        .join(
            _administrator,
            and_(
                _administrator.c.bank == t.c.bank,
                _administrator.c.contract_id == t.c.contract_id,
                _administrator.c.user_key == "",
            ),
        )
        .where(among(t.c.id, "people"))
    )
)


def find(tx: Connection, who: PersonId) -> Person | None:
    """Return the person, their user ID compared without regard to case, or None; who was deleted is nobody."""
    named = {"bank": who.bank, "contract_id": who.contract_id, "user_key": who.user_key}
    row = tx.execute(_FIND, named).one_or_none()
    return None if row is None else _person(row)


def get(tx: Connection, person_id: int) -> Person:
    """Return the person of that row."""
    return _person(tx.execute(_GET, {"person_id": person_id}).one())


def get_all(tx: Connection, person_ids: Sequence[int]) -> dict[int, Person]:
    """Return the people of those rows, by their rows."""
    return {row.id: _person(row) for row in _GET_ALL.run(tx, {"people": list(person_ids)})}


def hold(tx: Connection, person_id: int) -> Person:
    """Return the person as they stand, and keep others from deciding about them until the end of `tx`.

    Whoever decides about a person does this first: what the transaction reads
    of them after that is what all others have committed before.
    """
    return hold_all(tx, [person_id])[person_id]


def hold_all(tx: Connection, person_ids: Sequence[int]) -> dict[int, Person]:
    """Hold many people at once, in the order of their rows."""
    lock(tx, person_ids)
    return get_all(tx, list(set(person_ids)))


def lock(tx: Connection, person_ids: Sequence[int]) -> None:
    """Hold people without reading them.

    What is to be read is read by statements of their own after this one: one
    that waited for a lock still sees other tables as they were when it began.
    """
    if tx.dialect.name == "postgresql":
        _LOCK.run(tx, {"people": sorted(set(person_ids))})


def administrators_of(tx: Connection, person_ids: Sequence[int]) -> dict[int, int]:
    """Return the row of each person's administrator, by the person's row; an administrator is their own."""
    return {row.id: row.administrator_id for row in _ADMINISTRATORS.run(tx, {"people": list(person_ids)})}


def told_of(tx: Connection, who: PersonId) -> list[int]:
    """Return the rows of the person and, for a user, of their administrator: who is told of what concerns them."""
    both = [find(tx, one) for one in dict.fromkeys((who, who.administrator))]
    return [person.id for person in both if person is not None]


def users_of(tx: Connection, bank: str, contract_id: str) -> list[Person]:
    """Return a contract's users in the order of their IDs."""
    rows = tx.execute(
        _select()
        .where(t.c.bank == bank, t.c.contract_id == contract_id, t.c.user_key != "", t.c.deleted_at.is_(None))
        .order_by(t.c.user_key)
    )
    return [_person(row) for row in rows]


def ids_of_contract(tx: Connection, bank: str, contract_id: str) -> list[int]:
    """Return the rows of all of a contract's people."""
    return list(tx.scalars(select(t.c.id).where(t.c.bank == bank, t.c.contract_id == contract_id)))


def count_guess(tx: Connection, person_id: int, *, limit: int, now: datetime) -> bool:
    """Count a wrong pair of PINs where no permit is open, and tell whether it is the one that reaches `limit`.

    It closes nothing. What was counted a day ago begins anew, and beyond the
    limit nothing is counted. One statement whatever it meets, and nobody's
    row costs the same.
    """
    over = or_(t.c.guesses_since.is_(None), t.c.guesses_since <= now - GUESSES_COUNT)
    open_permit = select(permits.c.id).where(
        permits.c.person_id == person_id,
        permits.c.spent_at.is_(None),
        permits.c.withdrawn_at.is_(None),
        permits.c.expires_at > now,
    )
    guesses: int | None = tx.scalar(
        update(t)
        .where(t.c.id == person_id, or_(over, t.c.guesses < limit), ~open_permit.exists())
        .values(
            guesses=case((over, 1), else_=t.c.guesses + 1),
            guesses_since=case((over, now), else_=t.c.guesses_since),
        )
        .returning(t.c.guesses)
    )
    return guesses is not None and guesses >= limit


def close(tx: Connection, person_id: int, now: datetime) -> None:
    """Shut the person's door; for an administrator that shuts the contract."""
    tx.execute(update(t).where(t.c.id == person_id, t.c.closed_at.is_(None)).values(closed_at=now))


def remember_language(tx: Connection, person_id: int, language: str) -> None:
    """Note the language that the person is told things in."""
    tx.execute(update(t).where(t.c.id == person_id).values(language=language))


def reopen(tx: Connection, person_id: int, *, shut_by: datetime | None = None) -> bool:
    """Open a door that misses had shut, with `shut_by` by that moment; False where none had."""
    began = t.c.closed_at.is_not(None) if shut_by is None else t.c.closed_at <= shut_by
    opened = tx.execute(update(t).where(t.c.id == person_id, began).values(closed_at=None))
    return opened.rowcount == 1


def stop(tx: Connection, person_id: int, now: datetime) -> bool:
    """Stop a user, or with the administrator the contract; False where that was done before."""
    stopped = tx.execute(update(t).where(t.c.id == person_id, t.c.stopped_at.is_(None)).values(stopped_at=now))
    return stopped.rowcount == 1


def lift_stop(tx: Connection, person_id: int, *, stopped_by: datetime) -> bool:
    """Lift a stop that began by that moment; False where there is none."""
    lifted = tx.execute(update(t).where(t.c.id == person_id, t.c.stopped_at <= stopped_by).values(stopped_at=None))
    return lifted.rowcount == 1


def was_ever(tx: Connection, who: PersonId) -> bool:
    """Tell whether the contract has or had a person of that ID: one that was deleted is never given again."""
    of_id = (t.c.bank == who.bank, t.c.contract_id == who.contract_id, t.c.user_key == who.user_key)
    return tx.execute(select(t.c.id).where(*of_id)).first() is not None


def number_of_users(tx: Connection, bank: str, contract_id: str) -> int:
    """Return how many users a contract has."""
    return tx.execute(
        select(func.count()).where(
            t.c.bank == bank, t.c.contract_id == contract_id, t.c.user_key != "", t.c.deleted_at.is_(None)
        )
    ).scalar_one()


def change_details(
    tx: Connection, person_id: int, *, name: str, mail_address: str, applications: Sequence[str]
) -> None:
    """Change what the administrator says of a user; another mail address is one that nobody has confirmed."""
    confirmed = case((t.c.mail_address == mail_address, t.c.mail_confirmed_at), else_=None)
    tx.execute(
        update(t)
        .where(t.c.id == person_id)
        .values(name=name, mail_address=mail_address, mail_confirmed_at=confirmed, applications=list(applications))
    )


def set_mail_address(tx: Connection, person_id: int, address: str) -> None:
    """Set a person's mail address, which nobody has confirmed yet."""
    tx.execute(update(t).where(t.c.id == person_id).values(mail_address=address, mail_confirmed_at=None))


def confirm_mail_address(tx: Connection, person_id: int, address: str, now: datetime) -> None:
    """Note that the person reads what goes to their address, if it still is that one."""
    tx.execute(
        update(t)
        .where(t.c.id == person_id, t.c.mail_address == address, t.c.mail_confirmed_at.is_(None))
        .values(mail_confirmed_at=now)
    )


def replace_administrator(tx: Connection, person_id: int, *, name: str, mail_address: str) -> None:
    """Note that somebody else is the administrator now, whose mail address nobody has confirmed."""
    tx.execute(
        update(t).where(t.c.id == person_id).values(name=name, mail_address=mail_address, mail_confirmed_at=None)
    )


def mark_deleted(tx: Connection, person_id: int, now: datetime) -> None:
    """Note that a user is one no more. The row stays: it holds the ID, and certificates name it."""
    tx.execute(update(t).where(t.c.id == person_id, t.c.deleted_at.is_(None)).values(deleted_at=now))
