"""A site of the edge on a loop in a thread of its own, certificates of every kind, and visitors."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import socket
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sekisho.edge.server import Site, SiteTls, serve
from sekisho.edge.unusable import AddressInUse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Self

    from sekisho.edge.choice import ChoiceBook
    from sekisho.edge.prompt import AtHand, Headers, Octets

HOST = "127.0.0.1"
PATIENCE_S = 20
LARGE = b"x" * (32 << 20)
_PIECE = 65536
_SPOILED = b"spoiled"


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, in one PEM file."""

    file: Path
    certificate: x509.Certificate
    key: Any

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def fingerprint(self) -> bytes:
        return hashlib.sha256(self.der).digest()


def issue(
    folder: Path,
    name: str,
    issuer: Pair | None = None,
    *,
    days: tuple[int, int] = (-1, 1),
    kind: str = "EC",
    key: Any = None,
    unreadable: bool = False,
) -> Pair:
    """Make a key and a certificate that is good from one day to another, counted from now; its own issuer or another's.

    `key` is used where it is given. `unreadable` gives it a name that Python's ssl module cannot decode, and spoils its
    signature besides.
    """
    if key is None:
        key = ec.generate_private_key(ec.SECP256R1()) if kind == "EC" else rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(HOST)), x509.DNSName(_SPOILED.decode())])
    usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(names, critical=False)
        .add_extension(usages, critical=False)
        .sign(signs := issuer.key if issuer else key, None if _is_edwards(signs) else hashes.SHA256())
    )
    if unreadable:
        der = certificate.public_bytes(Encoding.DER).replace(_SPOILED, b"\xff" * len(_SPOILED))
        certificate = x509.load_der_x509_certificate(der)
    file = folder / f"{name}.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    return Pair(file, certificate, key)


def _is_edwards(key: Any) -> bool:
    return isinstance(key, ed25519.Ed25519PrivateKey)


class Running:
    """A site that is served, and the application behind it.

    `/` answers with the request's extensions, `/mark` marks the visitor's
    certificate, `/wait` answers once it may (`release`), `/large` with a
    megabyte, `/read` with the length of the body.
    """

    def __init__(self, tls: SiteTls | None, at_hand: AtHand | None = None) -> None:
        self.tls = tls
        self.at_hand = at_hand
        self.port = 0
        self.name = "user"
        self.loop: asyncio.AbstractEventLoop | None = None
        self.stop_event: asyncio.Event | None = None
        self.may_answer: asyncio.Event | None = None
        self.reached = threading.Event()
        self.answered = threading.Event()
        self.cut_short = threading.Event()
        self.left_over: set[asyncio.Task[Any]] = set()
        self.thread: threading.Thread | None = None
        self.failure: BaseException | None = None

    @property
    def choices(self) -> ChoiceBook:
        assert self.tls is not None
        return self.tls.choices

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        extensions = scope.get("extensions", {})
        der = extensions.get("sekisho.client_certificate")
        body = b""
        if scope["path"] == "/mark":
            await asyncio.to_thread(self.choices.mark, hashlib.sha256(der).digest())  # as a handler does
        elif scope["path"] == "/wait":
            await self._wait_for_release()
        elif scope["path"] == "/large":
            body = LARGE
        elif scope["path"] == "/read":
            body = str(await _length(receive)).encode()
        else:
            shown = {**extensions, "sekisho.client_certificate": der.hex()} if der else extensions
            body = json.dumps(shown).encode()
        await send({"type": "http.response.start", "status": 200, "headers": _length_header(body)})
        for start in range(0, len(body), _PIECE):
            await send({"type": "http.response.body", "body": body[start : start + _PIECE], "more_body": True})
        await send({"type": "http.response.body"})
        self.answered.set()

    async def _wait_for_release(self) -> None:
        assert self.may_answer is not None
        self.reached.set()
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.cut_short.set()
            raise

    def start(self, **options: Any) -> None:
        """Start on a free port."""
        ready = threading.Event()

        async def run() -> None:
            self.loop = asyncio.get_running_loop()
            self.stop_event, self.may_answer = asyncio.Event(), asyncio.Event()
            while True:
                self.port = free_port()
                site = Site(self.name, HOST, self.port, self.app, self.tls, self.at_hand)
                try:
                    await serve([site], ready=ready.set, stop=self.stop_event, **options)
                except AddressInUse:
                    continue  # another test was faster
                self.left_over = asyncio.all_tasks() - {asyncio.current_task()}
                return

        def body() -> None:
            try:
                asyncio.run(run())
            except BaseException as failure:  # noqa: BLE001 - told in the thread that waits
                self.failure = failure
                ready.set()

        self.thread = threading.Thread(target=body)
        self.thread.start()
        assert ready.wait(PATIENCE_S)
        if self.failure is not None:
            raise self.failure

    def release(self) -> None:
        """Let `/wait` be answered."""
        self._set(self.may_answer)

    def ask_to_stop(self) -> None:
        self._set(self.stop_event)

    def _set(self, event: asyncio.Event | None) -> None:
        assert self.loop is not None
        assert event is not None
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(event.set)

    def stopped(self) -> None:
        assert self.thread is not None
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive(), "it did not stop"
        if self.failure is not None:
            raise self.failure
        assert not self.left_over

    def visit(self, pair: Pair | None = None, version: ssl.TLSVersion | None = None) -> Visitor:
        return Visitor(self.port, client_context(pair, version) if self.tls is not None else None)

    def meet(self, pair: Pair | None = None, version: ssl.TLSVersion | None = None) -> dict[str, Any]:
        """Visit once and return what the application learned."""
        with self.visit(pair, version) as visitor:
            return visitor.learned()


@contextmanager
def running(tls: SiteTls | None, *, at_hand: AtHand | None = None, **options: Any) -> Iterator[Running]:
    site = Running(tls, at_hand)
    site.start(**options)
    try:
        yield site
    finally:
        site.release()
        site.ask_to_stop()
        site.stopped()


def echo(method: str, path: str, _headers: Headers, body: bytes) -> Octets | None:
    """Know the answers to what is asked below `/known`: it says how it was asked."""
    if not path.startswith("/known"):
        return None
    told = f"{method} {path} ".encode() + body
    return b"HTTP/1.1 200 OK\r\n", b"content-length: %d\r\n\r\n" % len(told), told


class Visitor:
    """One connection to a site; entering waits until the handshake is done."""

    def __init__(self, port: int, context: ssl.SSLContext | None) -> None:
        self.port = port
        self.context = context
        self.socket: Any = None

    def __enter__(self) -> Self:
        raw = socket.create_connection((HOST, self.port), PATIENCE_S)
        try:
            self.socket = raw if self.context is None else self.context.wrap_socket(raw)
        except BaseException:
            raw.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def get(self, path: str, method: str = "GET") -> http.client.HTTPResponse:
        self.send(f"{method} {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        return self.answer()

    def answer(self) -> http.client.HTTPResponse:
        answer = http.client.HTTPResponse(self.socket)
        answer.begin()
        return answer

    def learned(self) -> dict[str, Any]:
        answer = self.get("/")
        assert answer.status == 200
        told: dict[str, Any] = json.loads(answer.read())
        return told

    def is_let_go(self) -> bool:
        """Wait until the other side has ended the connection."""
        try:
            while self.socket.recv(65536):
                pass
        except TimeoutError:
            return False
        except OSError:
            return True
        return True


def client_context(pair: Pair | None = None, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if pair is not None:
        context.set_ciphers("DEFAULT@SECLEVEL=0")  # else OpenSSL itself would not show a small key
        context.load_cert_chain(pair.file)
    return context


def free_port() -> int:
    with socket.socket() as one:
        one.bind((HOST, 0))
        port: int = one.getsockname()[1]
        return port


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    pause = threading.Event()
    for _ in range(PATIENCE_S * 50):
        if holds():
            return
        pause.wait(0.02)
    raise AssertionError("it never came to hold")


def _length_header(body: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"content-length", str(len(body)).encode())]


async def _length(receive: Any) -> int:
    length = 0
    while True:
        message = await receive()
        length += len(message.get("body", b""))
        if not message.get("more_body"):
            return length
