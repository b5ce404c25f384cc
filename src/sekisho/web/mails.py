"""Notices as mails: the same words as in the inbox, without link, secret or full ID."""

from __future__ import annotations

import logging
from datetime import timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import TYPE_CHECKING

from sekisho.domain.errors import MailAway
from sekisho.domain.mailing import wait_after
from sekisho.store import audit, outgoing, people
from sekisho.usecases.mailed_code import CODE_LIFE
from sekisho.usecases.ports import MailNotTaken, MailServerAway
from sekisho.web import messages
from sekisho.web.notice_words import notice_values

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank, Person
    from sekisho.store.notices import Notice
    from sekisho.store.outgoing import Outgoing
    from sekisho.usecases.mailed_code import CodeMail
    from sekisho.usecases.ports import MailLine, Ports

log = logging.getLogger("sekisho")
_AT_ONCE = 20
# Longer than so many mails may take; what a process that died had taken is due again after it.
LEASE = timedelta(minutes=10)
# So long before the end of a lease no other mail is begun: longer than one may take.
_RESERVE = timedelta(minutes=2)
_ACTOR = audit.Actor(audit.SYSTEM)
# By notice, what was answered to a mail whose row could not be marked yet.
Unmarked = dict[int, str]


def send_mails(
    ports: Ports, *, bank: Bank, unmarked: Unmarked | None = None, stopped: Callable[[], bool] = lambda: False
) -> int:
    """Mail some of the notices that are due, the longest due first, and return how many were looked at.

    Each is taken, handed over and marked, in this order. A process that dies
    between the last two leaves one mail of which nobody knows whether it was
    taken: it is handed over again when the lease is over, under the same
    Message-ID. Where only the database is away then, `unmarked` keeps it for
    the next call. Raises `MailServerAway`, and then no mail's tries count.
    """
    unmarked = {} if unmarked is None else unmarked
    _mark(ports, unmarked)
    with ports.db.read() as tx:
        if not outgoing.any_due(tx, ports.now()):
            return 0
    with ports.mail.line() as line:
        now = ports.now()
        taken = ports.db.write(lambda tx: outgoing.take_due(tx, now, until=now + LEASE, most=_AT_ONCE))
        left = list(taken)
        try:
            with ports.db.read() as tx:
                told = people.get_all(tx, [one.notice.person_id for one in taken])
            addresses = {
                one.notice.id: address
                for one in taken
                if (address := one.mail_to or told[one.notice.person_id].mail_address)
            }
            if nowhere := [one for one in taken if one.notice.id not in addresses]:
                ports.db.write(lambda tx: outgoing.leave_unmailed(tx, nowhere))
                left = [one for one in taken if one.notice.id in addresses]
            while left and not stopped() and ports.now() < now + LEASE - _RESERVE:
                one = left.pop(0)
                try:
                    person, address = told[one.notice.person_id], addresses[one.notice.id]
                    goes_on = _send(ports, bank, line, one, person, address, unmarked)
                except MailServerAway:
                    left.insert(0, one)
                    raise
                if not goes_on:
                    break
        finally:
            if left:
                ports.db.write(lambda tx: outgoing.give_back(tx, left, now))
    return len(taken) - len(left)


def _send(
    ports: Ports, bank: Bank, line: MailLine, one: Outgoing, person: Person, address: str, unmarked: Unmarked
) -> bool:
    """Hand one mail over and note what came of it; False where the line is of no use any more."""
    try:
        said = line.send(_compose(bank, one.notice, person, address, ports.mail.sender), f"{one.notice.id:012d}")
    except MailNotTaken as refused:
        _put_off(ports, one, person, refused)
        return not refused.line_lost
    except MailServerAway:
        raise
    except Exception as bug:
        # One that cannot even be written keeps no other one waiting.
        log.exception("the mail of notice %s could not be handed over", one.notice.id)
        _put_off(ports, one, person, MailNotTaken(f"bug: {type(bug).__name__}"))
        return False
    unmarked[one.notice.id] = said
    _mark(ports, unmarked)
    return True


def _mark(ports: Ports, unmarked: Unmarked) -> None:
    if not unmarked:
        return
    now = ports.now()

    def mark(tx: Connection) -> None:
        for notice_id, said in unmarked.items():
            outgoing.mark_mailed(tx, notice_id, said, now)

    ports.db.write(mark)
    unmarked.clear()


def _put_off(ports: Ports, one: Outgoing, person: Person, refused: MailNotTaken) -> None:
    now = ports.now()
    wait = None if refused.final else wait_after(one.tries)

    def note(tx: Connection) -> None:
        if wait is not None:
            outgoing.put_off(tx, one, now + wait, refused.said)
        elif outgoing.give_up(tx, one, refused.said, now):
            audit.add(
                tx, "mail-given-up", _ACTOR, at=now, who=person.who, person_id=person.id,
                notice=one.notice.id, code=one.notice.code, tries=one.tries,
            )  # fmt: skip

    ports.db.write(note)
    if wait is None:
        log.warning("the mail of notice %s was given up; see: sekisho mails list --given-up", one.notice.id)


def _compose(bank: Bank, notice: Notice, person: Person, address: str, sender: str) -> EmailMessage:
    """Write the mail. Raises `MailNotTaken` where the address is none."""
    language: messages.Language = "en" if person.language == "en" else "ja"
    words = messages.mail(
        language,
        notice.code,
        service_name=bank.service_name[language],
        help_desk_phone=bank.help_desk_phone,
        help_desk_hours=bank.help_desk_hours[language],
        **notice_values(notice, person),
    )
    return _mail(bank, language, words, address, message_id(notice.id, notice.at, sender), notice.at, sender)


def code_mail(ports: Ports, bank: Bank) -> CodeMail:
    """Make what mails a code. It is the one mail that carries a secret: short-lived, good once, and kept nowhere."""

    def send(person: Person, address: str, code: str, notice_id: int) -> None:
        language: messages.Language = "en" if person.language == "en" else "ja"
        words = messages.code_mail(
            language,
            code,
            minutes=CODE_LIFE // timedelta(minutes=1),
            service_name=bank.service_name[language],
            help_desk_phone=bank.help_desk_phone,
            help_desk_hours=bank.help_desk_hours[language],
        )
        now, sender = ports.now(), ports.mail.sender
        try:
            mail = _mail(bank, language, words, address, message_id(notice_id, now, sender), now, sender)
            with ports.mail.line() as line:
                line.send(mail, f"{notice_id:012d}")
        except (MailServerAway, MailNotTaken) as away:
            raise MailAway from away

    return send


def _mail(
    bank: Bank,
    language: messages.Language,
    words: messages.Mail,
    address: str,
    named: str,
    at: datetime,
    sender: str,
) -> EmailMessage:
    """Write a mail whose Message-ID is `named`. Raises `MailNotTaken` where the address is none."""
    mail = EmailMessage()
    mail["Subject"] = words.subject
    mail["From"] = Address(bank.service_name[language], addr_spec=sender)
    try:
        mail["To"] = Address(addr_spec=address)
    except ValueError as wrong:
        raise MailNotTaken("this is no mail address", final=True) from wrong
    mail["Date"] = format_datetime(at)
    mail["Message-ID"] = named
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834 section 5
    # Every server takes base64; 8 bits only those that say so.
    mail.set_content(words.body, cte="7bit" if words.body.isascii() else "base64")
    mail["Content-Language"] = language  # after set_content, which empties what describes the content
    return mail


def message_id(notice_id: int, at: datetime, sender: str) -> str:
    """Return the one Message-ID that a notice has, however often it is handed over (RFC 5322 section 3.6.4)."""
    return f"<notice-{notice_id}-{int(at.timestamp() * 1_000_000)}@{sender.rpartition('@')[2]}>"
