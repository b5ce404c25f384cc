"""HTTPS as Tegata speaks it: TLS 1.2 or newer, a deadline on every call, the company's proxy, no redirects."""

from __future__ import annotations

import queue
import ssl
import threading
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import sslcontext
import urllib3
from urllib3 import exceptions

from tegata import __version__
from tegata.errors import ServerTrouble

if TYPE_CHECKING:
    from pathlib import Path

    from tegata.stores.interface import StoredKey

DEADLINE_S = 60.0
LONGEST_ANSWER = 1024 * 1024
AGENT = f"tegata/{__version__}"
_PROXY_AUTHENTICATION_REQUIRED = "407"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered. Names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def clock_ahead_s(self) -> float | None:
        """Seconds by which the server's clock is ahead of this computer's, where the server tells its time."""
        with suppress(TypeError, ValueError):
            told = parsedate_to_datetime(self.headers["date"]) if "date" in self.headers else None
            return None if told is None else (told - datetime.now(UTC)).total_seconds()
        return None


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to believe and how to get out: a PEM file instead of the system's CAs, a proxy instead of the system's."""

    ca: Path | None = None
    proxy: str | None = None


class _TlsSigner:
    """Signs handshakes with a key that stays in its store."""

    def __init__(self, key: StoredKey) -> None:
        self._key = key

    def sign(self, digest: bytes, *, hash: str, padding: Any = None, salt_length: int | None = None) -> bytes:  # noqa: A002 - sslcontext's name
        del hash, padding, salt_length  # an EC key has none, and the digest is made
        return self._key.sign_digest(digest)


class Web:
    """Calls servers of a bank, with a certificate where one is shown."""

    def __init__(
        self,
        trust: Trust,
        lang: str,
        *,
        shown: tuple[bytes, StoredKey] | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._proxy = trust.proxy
        self._deadline_s = deadline_s
        self._headers = {"user-agent": AGENT, "sekisho-agent": AGENT, "accept-language": lang}
        self._tls = _context(trust)
        self._to_proxy = _context(trust)
        if shown is not None:
            certificate, key = shown
            sslcontext.load_identity(self._tls, sslcontext.Identity(certificate, _TlsSigner(key)))

    def get(self, url: str) -> Answer:
        """Fetch an address. Raises `ServerTrouble`."""
        return self._by_deadline("GET", url, None, {})

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Send a body. Raises `ServerTrouble`."""
        return self._by_deadline("POST", url, body, headers)

    def _by_deadline(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        """Call in a thread of its own, so that nothing a server or resolver does takes longer than the deadline."""
        if urlsplit(url).scheme != "https" or not urlsplit(url).hostname:
            raise ServerTrouble("address-not-usable", url=url)
        done: queue.SimpleQueue[Answer | BaseException] = queue.SimpleQueue()

        def call() -> None:
            try:
                done.put(self._call(method, url, body, headers))
            except BaseException as failure:  # noqa: BLE001 - told in the thread that waits
                done.put(failure)

        threading.Thread(target=call, daemon=True).start()
        try:
            outcome = done.get(timeout=self._deadline_s)
        except queue.Empty:
            # It may have got through: whoever asks for a certificate asks again with the same key.
            raise ServerTrouble("answer-lost", host=_host(url)) from None
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def _call(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        host = _host(url)
        try:
            with self._pool(url) as pool:
                answer = pool.request(
                    method,
                    url,
                    body=body,
                    headers=self._headers | headers,
                    timeout=urllib3.Timeout(self._deadline_s),
                    retries=False,
                    redirect=False,
                    preload_content=False,
                )
                try:
                    content = answer.read(LONGEST_ANSWER + 1, decode_content=False)
                finally:
                    answer.close()
        except exceptions.HTTPError as failure:
            raise _told(failure, host) from failure
        except (OSError, ValueError) as failure:
            raise ServerTrouble("answer-lost", host=host) from failure
        if len(content) > LONGEST_ANSWER:
            raise ServerTrouble("answer-not-understood", host=host, detail="too long")
        return Answer(answer.status, {name.lower(): value for name, value in answer.headers.items()}, content)

    def _pool(self, url: str) -> urllib3.PoolManager:
        proxy = self._proxy or _system_proxy(url)
        if proxy is None:
            return urllib3.PoolManager(ssl_context=self._tls)
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ServerTrouble("proxy-refused", proxy=parts.hostname or "", detail="no address of a proxy")
        headers = None
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers = urllib3.make_headers(proxy_basic_auth=pair)
        where = f"{parts.scheme}://{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
        return urllib3.ProxyManager(
            where, proxy_headers=headers, ssl_context=self._tls, proxy_ssl_context=self._to_proxy
        )


def _context(trust: Trust) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=trust.ca)
    except (OSError, ssl.SSLError) as unreadable:
        raise ServerTrouble("trust-not-readable", file=trust.ca) from unreadable
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _system_proxy(url: str) -> str | None:
    """Return the proxy that the system names for an address, as other programs find it."""
    host = urlsplit(url).netloc
    if urllib.request.proxy_bypass(host):
        return None
    return urllib.request.getproxies().get("https")


def _host(url: str) -> str:
    parts = urlsplit(url)
    return parts.netloc


def _told(failure: exceptions.HTTPError, host: str) -> ServerTrouble:
    """Return what a failure means for a person, by the innermost reason that urllib3 carries."""
    if isinstance(failure, exceptions.ProxyError):
        inner = failure.original_error
        wants_name = _PROXY_AUTHENTICATION_REQUIRED in str(inner)
        return ServerTrouble("proxy-refused", proxy="", detail="407" if wants_name else _short(inner))
    if isinstance(failure, exceptions.SSLError):
        inner = failure.args[0] if failure.args else failure
        if isinstance(inner, ssl.SSLCertVerificationError):
            return ServerTrouble("server-not-trusted", host=host, detail=inner.verify_message)
        return ServerTrouble("server-not-reachable", host=host, detail=_short(inner))
    if isinstance(
        failure, exceptions.NewConnectionError | exceptions.ConnectTimeoutError | exceptions.LocationParseError
    ):
        return ServerTrouble("server-not-reachable", host=host, detail=type(failure).__name__)
    return ServerTrouble("answer-lost", host=host)


def _short(error: object) -> str:
    return (str(error).splitlines() or [""])[0][:120]
