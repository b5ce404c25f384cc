"""A person changes their own mail address (メールアドレス変更): confirmation PIN, then a code that goes to the new one.

What waits for its code is the code itself: no draft is kept, and the address
stays as it is until the code was typed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sekisho.domain.errors import DetailsNotAllowed, MailAddressCodeWrong, Refusal
from sekisho.store import audit, codes, notices, people
from sekisho.store.codes import Purpose
from sekisho.usecases.confirm import Confirmation, confirmed
from sekisho.usecases.hold_logged_on import hold_logged_on
from sekisho.usecases.log_on import check_entry
from sekisho.usecases.mailed_code import CodeFor, address_to_confirm, check_code, mail_code_to, take_code

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank, Person
    from sekisho.store.audit import Actor
    from sekisho.usecases.mailed_code import CodeMail
    from sekisho.usecases.ports import Ports
    from sekisho.usecases.resume_session import LoggedOn

_PURPOSE = Purpose.NEW_MAIL_ADDRESS


@dataclass(frozen=True, slots=True)
class AddressChange:
    """How a change stands.

    `present` is the address now, `confirmed` whether a code has shown that
    the person reads it, `waiting` the one whose code is waited for, and
    `changed_at` when such a code was typed, where that was the last one mailed.
    """

    present: str | None
    confirmed: bool
    waiting: str | None
    changed_at: datetime | None


def read_address_change(ports: Ports, *, bank: Bank, person_id: int) -> AddressChange:
    """Return how the person's change of address stands."""
    now = ports.now()
    with ports.db.read() as tx:
        person = people.get(tx, person_id)
        last = codes.latest(tx, person_id, _PURPOSE)
    waiting = changed_at = None
    if last is not None:
        if last.used_at is None and now < last.expires_at and last.misses < bank.policy.misses_before_closed:
            waiting = last.mail_address
        if person.mail_confirmed and person.mail_address == last.mail_address:
            changed_at = last.used_at
    return AddressChange(person.mail_address, person.mail_confirmed, waiting, changed_at)


def ask_new_address(ports: Ports, *, bank: Bank, confirmation: Confirmation, mail_address: str, mail: CodeMail) -> None:
    """Take the confirmation PIN and mail a code to the new address; a code before it counts no more.

    An address that stands there and that nobody has confirmed can be
    confirmed in the same way. Raises `MailAway`, which changes nothing.
    """
    now = ports.now()
    to = address_to_confirm(mail_address, "new_mail_address")

    def ask(tx: Connection, person: Person, actor: Actor) -> Person:
        if person.mail_confirmed and person.mail_address == to:
            raise DetailsNotAllowed(fields={"new_mail_address": "mail-address-same"})
        audit.add(tx, "mail-address-asked", actor, at=now, who=person.who, person_id=person.id)
        return person

    person = confirmed(ports, bank=bank, confirmation=confirmation, now=now, act=ask)
    mail_code_to(ports, CodeFor(person, to, _PURPOSE), mail, now)


def take_new_address(ports: Ports, *, bank: Bank, logged_on: LoggedOn, code: str, address: str) -> None:
    """Take the code: the address that it was mailed to is the person's from now on, and the one before is told.

    Wrong ones count against the code, which is of no use after as many as
    close a door; another one has to be mailed then.
    """
    now = ports.now()
    check_entry(code, "mailed_code")
    whose, session = logged_on.person, logged_on.session
    with ports.db.read() as tx:
        last = codes.latest(tx, whose.id, _PURPOSE)
    to = "" if last is None else last.mail_address
    typed = check_code(ports, last, CodeFor(whose, to, _PURPOSE), code, now)
    actor = audit.actor_of(whose.who, address)
    limit = bank.policy.misses_before_closed

    def judge_and_change(tx: Connection) -> Refusal | None:
        present = hold_logged_on(tx, whose.id, session, logged_on.certificate.id, bank=bank, now=now)
        if not take_code(tx, typed, present, actor=actor, limit=limit, now=now):
            return MailAddressCodeWrong(fields={"mailed_code": "entry-wrong"})
        _change(tx, present, to, actor, now)
        return None

    # A counted miss is told once it is committed.
    if (refusal := ports.db.write(judge_and_change)) is not None:
        raise refusal


def _change(tx: Connection, person: Person, to: str, actor: Actor, now: datetime) -> None:
    changed = person.mail_address != to
    if changed:
        people.set_mail_address(tx, person.id, to)
    people.confirm_mail_address(tx, person.id, to, now)
    action = "mail-address-changed" if changed else "mail-address-confirmed"
    audit.add(tx, action, actor, at=now, who=person.who, person_id=person.id)
    if not changed:
        return
    # The one before is told: who reads the new one may not be the person.
    notices.add(tx, person.id, action, now, mail_to=person.mail_address)
    for told in people.told_of(tx, person.who):
        if told != person.id:
            notices.add(tx, told, action, now, user_id=person.who.user_id)
