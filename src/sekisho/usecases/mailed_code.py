"""Codes that show that somebody reads a mail address: made, mailed outside any transaction, and taken once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from sekisho.domain.entries import mail_address_problem, read_mail_address
from sekisho.domain.errors import DetailsNotAllowed, MailAway, MailedCodesUsedUp
from sekisho.domain.secret import normal_form
from sekisho.store import audit, codes, notices

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.contract import Person
    from sekisho.store.audit import Actor
    from sekisho.store.codes import MailedCode, Purpose
    from sekisho.usecases.ports import Ports

CODE_LIFE = timedelta(minutes=15)
DIGITS = 8
# A second click sends no second mail, and nobody's mailbox is filled.
_PAUSE = timedelta(minutes=1)
_AT_MOST = 10
_AT_MOST_IN = timedelta(days=1)


class CodeMail(Protocol):
    """Whoever puts a code into words and hands the mail over."""

    def __call__(self, person: Person, address: str, code: str, notice_id: int, /) -> None:
        """Mail `code` to `address` in the person's language, as the mail of that notice. Raises `MailAway`."""


def no_mail(_person: Person, _address: str, _code: str, _notice_id: int) -> None:
    """Mail nothing, where nobody said how. Raises `MailAway`."""
    raise MailAway


@dataclass(frozen=True, slots=True)
class CodeFor:
    """Whom a code is mailed to, at which address, for what, and the permit that it comes with."""

    person: Person
    mail_address: str
    purpose: Purpose
    permit_id: int | None = None


@dataclass(frozen=True, slots=True)
class TypedCode:
    """The code that was mailed last when one was typed, and whether what was typed is it."""

    last: MailedCode | None
    right: bool


def address_to_confirm(typed: str, field: str) -> str:
    """Return a mail address in the form in which it is kept. Raises `DetailsNotAllowed` for the field."""
    address = read_mail_address(typed)
    if problem := mail_address_problem(address):
        raise DetailsNotAllowed(fields={field: problem})
    return address


def mail_code_to(ports: Ports, wanted: CodeFor, mail: CodeMail, now: datetime) -> None:
    """Mail a code to somebody. Raises `MailedCodesUsedUp` where none counts and enough went out today."""
    if not mail_code(ports, wanted, mail, now):
        raise MailedCodesUsedUp


def mail_code(ports: Ports, wanted: CodeFor, mail: CodeMail, now: datetime) -> bool:
    """Make a code and mail it, unless one has just gone out or enough did today; tell whether one counts now.

    It is the one mail that carries a secret, and goes out by itself: no table
    and no queue ever holds the code in clear. The inbox tells that it was
    asked for. Where the mail cannot be handed over, the code counts no more,
    and not as one of today's either.
    """
    person = wanted.person
    with ports.db.read() as tx:
        last = codes.latest(tx, person.id, wanted.purpose)
        many = codes.made_since(tx, person.id, wanted.purpose, now - _AT_MOST_IN) >= _AT_MOST
    counts = last is not None and _counts(last, wanted, now)
    just_sent = last is not None and now - last.made_at < _PAUSE
    if many or (counts and just_sent):
        return counts
    code = _new_code(ports)
    verifier = ports.pins.hash(code)

    def write(tx: Connection) -> tuple[int, int]:
        code_id = codes.add(
            tx,
            person.id,
            wanted.purpose,
            mail_address=wanted.mail_address,
            verifier=verifier,
            now=now,
            expires_at=now + CODE_LIFE,
            permit_id=wanted.permit_id,
        )
        return code_id, notices.add_mailed(tx, person.id, "code-mailed", now)

    code_id, notice_id = ports.db.write(write)
    try:
        mail(person, wanted.mail_address, code, notice_id)
    except MailAway:
        ports.db.write(lambda tx: codes.take_back(tx, code_id))
        raise
    return True


def code_right(ports: Ports, last: MailedCode | None, wanted: CodeFor, entry: str, now: datetime) -> bool:
    """Tell whether an entry is the code that counts now; whatever is wrong, one argon2 check is made."""
    typed = "".join(letter for letter in normal_form(entry) if letter not in " -")[: DIGITS + 1]
    counts = last is not None and _counts(last, wanted, now)
    return ports.pins.verify(last.verifier if last is not None and counts else None, typed)


def check_code(ports: Ports, last: MailedCode | None, wanted: CodeFor, entry: str, now: datetime) -> TypedCode:
    """Compare an entry with the last code, before the transaction in which it is taken."""
    return TypedCode(last, code_right(ports, last, wanted, entry, now))


def take_code(tx: Connection, typed: TypedCode, person: Person, *, actor: Actor, limit: int, now: datetime) -> bool:
    """Spend the code that was typed right, or count a wrong one against it; tell whether it was spent.

    `person` is held by `tx`. After `limit` misses a code is of no use, and
    another one has to be mailed: the code closes and not a door.
    """
    last = typed.last
    if not typed.right or last is None:
        misses = None if last is None else codes.count_miss(tx, last.id, limit)
        audit.add(tx, "mailed-code-missed", actor, at=now, who=person.who, person_id=person.id, misses=misses)
        return False
    newest = codes.latest(tx, person.id, last.purpose)
    return newest is not None and newest.id == last.id and newest.misses < limit and codes.use(tx, last.id, now)


def _counts(last: MailedCode, wanted: CodeFor, now: datetime) -> bool:
    fits = (last.mail_address, last.permit_id) == (wanted.mail_address, wanted.permit_id)
    return fits and last.used_at is None and now < last.expires_at


def _new_code(ports: Ports) -> str:
    # 2**64 is so much larger than 10**8 that no digit is favoured by more than 10**-11.
    return f"{int.from_bytes(ports.entropy(8)) % 10**DIGITS:0{DIGITS}}"
