"""Notices as mails: the same words as in the inbox, without link, secret or full ID."""

from __future__ import annotations

from email.message import EmailMessage
from email.utils import format_datetime
from functools import partial
from typing import TYPE_CHECKING

from sekisho.store import notices, people
from sekisho.web import messages
from sekisho.web.notice_words import notice_values

if TYPE_CHECKING:
    from sekisho.domain.contract import Bank, Person
    from sekisho.store.notices import Notice
    from sekisho.usecases.ports import Ports

_AT_ONCE = 100


def send_mails(ports: Ports, *, bank: Bank) -> int:
    """Mail the notices that were not mailed yet, the oldest first; return how many notices were looked at.

    A mail is handed over before its row is marked: a crash between the two
    hands the same mail over again under the same key, which changes nothing.
    """
    now = ports.now()
    with ports.db.read() as tx:
        waiting = [(notice, people.get(tx, notice.person_id)) for notice in notices.unmailed(tx, _AT_ONCE)]
    for notice, person in waiting:
        if person.mail_address is not None:
            ports.mail.send(_compose(bank, notice, person, person.mail_address), f"{notice.id:012d}")
        ports.db.write(partial(notices.mark_mailed, notice_id=notice.id, now=now))
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
    mail = EmailMessage()
    mail["Subject"] = words.subject
    mail["From"] = f"no-reply@bank-{bank.code}.invalid"
    mail["To"] = address
    mail["Date"] = format_datetime(notice.at)
    mail["Message-ID"] = f"<notice-{notice.id}@bank-{bank.code}.invalid>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834 section 5
    mail.set_content(words.body)
    mail["Content-Language"] = language  # after set_content, which empties what describes the content
    return mail
