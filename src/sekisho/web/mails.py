"""Notices as mails: the same words as in the inbox, without link, secret or full ID."""

from __future__ import annotations

from datetime import timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from typing import TYPE_CHECKING

from sekisho.domain.errors import MailAway
from sekisho.store import notices, people
from sekisho.usecases.mailed_code import CODE_LIFE
from sekisho.web import messages
from sekisho.web.notice_words import notice_values

if TYPE_CHECKING:
    from datetime import datetime

    from sekisho.domain.contract import Bank, Person
    from sekisho.store.notices import Notice
    from sekisho.usecases.mailed_code import CodeMail
    from sekisho.usecases.ports import Ports

_AT_ONCE = 100


def send_mails(ports: Ports, *, bank: Bank) -> int:
    """Mail the notices that were not mailed yet, the oldest first; return how many notices were looked at.

    Mails are handed over before their rows are marked, all at once: a crash
    between the two hands the same mails over again under the same keys,
    which changes nothing.
    """
    now = ports.now()
    with ports.db.read() as tx:
        waiting = notices.unmailed(tx, _AT_ONCE)
        told = people.get_all(tx, [notice.person_id for notice in waiting])
    done: list[int] = []
    try:
        for notice in waiting:
            person = told[notice.person_id]
            if person.mail_address is not None:
                ports.mail.send(_compose(bank, notice, person, person.mail_address), f"{notice.id:012d}")
            done.append(notice.id)
    finally:
        if done:
            ports.db.write(lambda tx: notices.mark_mailed(tx, done, now))
    return len(waiting)


def _compose(bank: Bank, notice: Notice, person: Person, address: str) -> EmailMessage:
    language: messages.Language = "en" if person.language == "en" else "ja"
    words = messages.mail(
        language,
        notice.code,
        service_name=bank.service_name[language],
        help_desk_phone=bank.help_desk_phone,
        help_desk_hours=bank.help_desk_hours[language],
        **notice_values(notice, person),
    )
    return _mail(bank, language, words, address, notice.id, notice.at)


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
        try:
            ports.mail.send(_mail(bank, language, words, address, notice_id, ports.now()), f"{notice_id:012d}")
        except OSError as away:
            raise MailAway from away

    return send


def _mail(
    bank: Bank, language: messages.Language, words: messages.Mail, address: str, notice_id: int, at: datetime
) -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"] = words.subject
    mail["From"] = f"no-reply@bank-{bank.code}.invalid"
    mail["To"] = address
    mail["Date"] = format_datetime(at)
    mail["Message-ID"] = f"<notice-{notice_id}@bank-{bank.code}.invalid>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834 section 5
    mail.set_content(words.body)
    mail["Content-Language"] = language  # after set_content, which empties what describes the content
    return mail
