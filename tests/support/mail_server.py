"""A real SMTP server with TLS on loopback, that a test can have away, slow, refusing, or cutting the line."""

from __future__ import annotations

import asyncio
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from sekisho.mail_server import MailServer, ServerAddress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage
    from pathlib import Path

PASSWORD = "a secret of the mail server"
USER = "sekisho"
SENDER = "no-reply@mihon.example"
_PATIENCE_S = 30


@dataclass
class TestServer:
    """Answers on one port while it is up. What it took stands in `taken`, in the order in which it came.

    `refusals` maps a recipient to the answers that it gets, one after the
    other, before it is taken. `at_data` is done with each mail that was
    received, before that is answered: return an answer, or None for "250 OK".
    """

    __test__ = False
    folder: Path
    host_name: str = "localhost"
    implicit_tls: bool = False
    offers_tls: bool = True
    port: int = 0
    taken: list[EmailMessage] = field(default_factory=list)
    refusals: dict[str, list[str]] = field(default_factory=dict)
    refuses_sender: str | None = None
    cuts_after_data: int = 0
    drips: bool = False
    holds: bool = False
    holding: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    connections: int = 0

    def __post_init__(self) -> None:
        self.certificate = self.folder / "mail-server.pem"
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(_make_certificate(self.certificate, self.host_name))
        (self.folder / "mail-password").write_text(PASSWORD + "\n")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    # What aiosmtpd asks.

    async def handle_MAIL(self, _server: Any, _session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if self.refuses_sender is not None:
            return self.refuses_sender
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if waiting := self.refusals.get(address):
            return waiting.pop(0)
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        message: Any = message_from_bytes(envelope.content, policy=default)
        self.taken.append(message)
        if self.cuts_after_data:
            self.cuts_after_data -= 1
            server.transport.abort()
            return ""
        if self.holds:
            self.holding.set()
            await asyncio.to_thread(self.go_on.wait, _PATIENCE_S)
        while self.drips:
            server._writer.write(b"250-still at it\r\n")
            await asyncio.sleep(0.05)
        return "250 OK taken"

    def start(self) -> None:
        """Answer, on the same port as before if it was up before."""
        up = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(up,), daemon=True)
        self._thread.start()
        assert up.wait(_PATIENCE_S)

    def stop(self) -> None:
        """Be away."""
        self.drips = False
        self.go_on.set()
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_PATIENCE_S)
        self._loop = self._thread = None

    def _run(self, up: threading.Event) -> None:
        loop = self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        tls = self._context if self.implicit_tls else None
        server = loop.run_until_complete(loop.create_server(self._protocol, "127.0.0.1", self.port, ssl=tls))
        self.port = server.sockets[0].getsockname()[1]
        up.set()
        loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    def _protocol(self) -> SMTP:
        self.connections += 1
        starttls = self._context if self.offers_tls and not self.implicit_tls else None
        return SMTP(
            self,
            hostname="mail.test",
            tls_context=starttls,
            require_starttls=starttls is not None,
            # aiosmtpd knows only STARTTLS for TLS, so without it nothing more than offering AUTH is possible.
            auth_required=starttls is not None,
            auth_require_tls=starttls is not None,
            authenticator=self._authenticate,
        )

    @staticmethod
    def _authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=right, handled=False)

    def address(self, **changed: Any) -> ServerAddress:
        values: dict[str, Any] = {
            "host": "localhost",
            "port": self.port,
            "implicit_tls": self.implicit_tls,
            "own_name": "sekisho.test",
            "authorities": self.certificate,
            "user": USER,
            "password_file": self.folder / "mail-password",
        }
        return ServerAddress(**values | changed)

    def client(self, mail_s: float = 30.0, **changed: Any) -> MailServer:
        """Return what hands mails over to this server."""
        return MailServer(self.address(**changed), SENDER, answer_s=20.0, mail_s=mail_s)


@contextmanager
def mail_server(folder: Path, **how: Any) -> Iterator[TestServer]:
    """Have a server up."""
    server = TestServer(folder, **how)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _make_certificate(file: Path, host_name: str) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host_name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host_name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(certificate.public_bytes(Encoding.PEM) + pem)
    return file
