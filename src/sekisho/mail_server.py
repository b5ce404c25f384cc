"""A mail server: SMTP (RFC 5321) over TLS, by STARTTLS (RFC 3207) or from the first byte (RFC 8314).

What is the server's or the settings' fault says nothing about any one mail:
then the line is down (`MailServerAway`) and the mails stay as they are. What
is answered to a recipient or to a mail's text is about that mail
(`MailNotTaken`): a code of 4xx may go away, one of 5xx will not.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.policy import SMTP
from typing import TYPE_CHECKING

from sekisho.store.deadlines import Deadlines
from sekisho.usecases.ports import MailNotTaken, MailServerAway

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage
    from pathlib import Path

# For one answer of the server, and for the whole of what it takes to open a line, to hand a mail over, to part.
_ANSWER_S, _OPEN_S, _MAIL_S, _PART_S = 20.0, 40.0, 60.0, 5.0
_DONE, _CLOSING, _FOR_GOOD = range(200, 300), 421, range(500, 600)
_NONSENSE = -1  # what smtplib makes of an answer that is none


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where a mail server is, and how it is spoken to.

    `implicit_tls` is TLS from the first byte, STARTTLS otherwise; never
    neither. `authorities` are the PEM certificates that the server's is
    checked against, None for the system's. `password_file` is read for each
    line, so that it can be changed while Sekisho runs.
    """

    host: str
    port: int
    implicit_tls: bool
    own_name: str
    authorities: Path | None = None
    user: str | None = None
    password_file: Path | None = None


class MailServer:
    """Hands mails over to a mail server. `answer_s` and `mail_s` are seconds, for tests that cannot wait."""

    def __init__(
        self, address: ServerAddress, sender: str, *, answer_s: float = _ANSWER_S, mail_s: float = _MAIL_S
    ) -> None:
        self._address = address
        self._answer_s = answer_s
        self._mail_s = mail_s
        self._deadlines = Deadlines()
        self.sender = sender

    @contextmanager
    def line(self) -> Iterator[_Line]:
        """Connect, agree on TLS, and authenticate. Raises `MailServerAway`."""
        smtp = self._open()
        try:
            yield _Line(smtp, self.sender, self._deadlines, self._mail_s)
        finally:
            with suppress(smtplib.SMTPException, OSError), self._deadlines.on(_descriptor(smtp), _PART_S):
                smtp.quit()
            smtp.close()

    def _open(self) -> smtplib.SMTP:
        where = f"the mail server {self._address.host}:{self._address.port}"
        try:
            context = ssl.create_default_context(cafile=self._address.authorities)
            reached = socket.create_connection((self._address.host, self._address.port), self._answer_s)
            with self._deadlines.on(reached.fileno(), _OPEN_S):
                return self._greet(reached, context)
        except smtplib.SMTPResponseException as refused:
            raise MailServerAway(f"{where} refuses: {_said(refused.smtp_code, refused.smtp_error)}") from refused
        except (smtplib.SMTPException, OSError, ValueError) as failure:
            raise MailServerAway(f"{where} cannot be used: {failure}") from failure

    def _greet(self, reached: socket.socket, context: ssl.SSLContext) -> smtplib.SMTP:
        address = self._address
        if address.implicit_tls:
            reached = context.wrap_socket(reached, server_hostname=address.host)
        smtp = _Smtp(address, reached, self._answer_s)
        try:
            if not address.implicit_tls:
                smtp.starttls(context=context)
            smtp.ehlo()
            if address.user is not None and address.password_file is not None:
                smtp.login(address.user, address.password_file.read_text("utf-8").strip())
        except BaseException:
            smtp.close()
            raise
        return smtp


class _Smtp(smtplib.SMTP):
    """Speaks over a connection that is made already."""

    def __init__(self, address: ServerAddress, connection: socket.socket, answer_s: float) -> None:
        self._connection = connection
        super().__init__(address.host, address.port, local_hostname=address.own_name, timeout=answer_s)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:  # noqa: ARG002 - smtplib's own
        self._connection.settimeout(timeout)
        return self._connection


class _Line:
    """One mail after the other."""

    def __init__(self, smtp: smtplib.SMTP, sender: str, deadlines: Deadlines, mail_s: float) -> None:
        self._smtp = smtp
        self._sender = sender
        self._deadlines = deadlines
        self._mail_s = mail_s

    def send(self, message: EmailMessage, key: str) -> str:  # noqa: ARG002 - the Message-ID carries it
        """Hand a mail over. Raises `MailNotTaken`, and `MailServerAway` where it is not about this mail."""
        recipient = message["To"].addresses[0].addr_spec
        with self._deadlines.on(_descriptor(self._smtp), self._mail_s):
            self._from(self._sender)
            step = "RCPT TO"
            try:
                self._judge(*self._smtp.rcpt(recipient))
                step = "DATA"
                return self._judge(*self._data(message.as_bytes(policy=SMTP)))
            except (smtplib.SMTPException, OSError) as lost:
                # After the text was sent it may have been taken all the same: nobody can tell.
                raise MailNotTaken(f"the line was lost at {step}: {lost}", line_lost=True) from lost

    def _from(self, sender: str) -> None:
        """Name the sender, which is the same for all mails: what is wrong with it is wrong with server or settings."""
        try:
            code, said = self._smtp.mail(sender)
        except (smtplib.SMTPException, OSError) as lost:
            raise MailServerAway(f"the line to the mail server was lost: {lost}") from lost
        if code not in _DONE:
            raise MailServerAway(f"the mail server does not take mails from {sender}: {_said(code, said)}")

    def _data(self, content: bytes) -> tuple[int, bytes | str]:
        try:
            return self._smtp.data(content)
        except smtplib.SMTPDataError as refused:
            return refused.smtp_code, refused.smtp_error

    def _judge(self, code: int, said: bytes | str) -> str:
        if code in _DONE:
            return _said(code, said)
        lost = code in {_CLOSING, _NONSENSE}
        if not lost:
            self._smtp.rset()
        raise MailNotTaken(_said(code, said), final=code in _FOR_GOOD, line_lost=lost)


def _said(code: int, said: bytes | str) -> str:
    text = said if isinstance(said, str) else said.decode("utf-8", "replace")
    return f"{code} {' '.join(text.split())}"


def _descriptor(smtp: smtplib.SMTP) -> int:
    return -1 if smtp.sock is None else smtp.sock.fileno()
