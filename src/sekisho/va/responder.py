"""OCSP over HTTP (RFC 6960 appendix A, RFC 9919 section 5), as raw ASGI: most answers are ready and cost no thread.

An answer that was signed is kept until it is half over, and is given to
whoever asks the same. What keeps it honest: nothing that is kept is given
unless a look at the table, begun less than a second ago, has told what
changed meanwhile (decision 0058).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from cryptography import x509

from sekisho.domain.errors import Refusal
from sekisho.pki import ocsp
from sekisho.pki.ocsp import Status
from sekisho.usecases.answer_ocsp import AskedAbout, answer_questions, changed_since
from sekisho.va.allowance import Allowance

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from starlette.types import Receive, Scope, Send

    from sekisho.domain.contract import Bank
    from sekisho.domain.issuing_ca import IssuingCa
    from sekisho.pki.ocsp import IssuerId
    from sekisho.store.crl_entries import Changed
    from sekisho.usecases.answer_ocsp import Answered
    from sekisho.usecases.ports import Ports

    Headers = list[tuple[bytes, bytes]]

log = logging.getLogger("sekisho.va")
PATH = "/ocsp"
_CONTENT_TYPE = (b"content-type", b"application/ocsp-response")
_LONGEST_GET = 4 * (ocsp.LONGEST_QUESTION // 3 + 1)
_MAX_AGE_S = 300
_STALE_S = 1.0  # what is kept is as old as this at most
_LOOK_AFTER_S = 0.4  # so that nobody waits for a look while questions keep coming
_KEPT = 20_000  # answers of about 1 kB, and as many questions of about 100 octets
_WAITING = 1_000
_AT_ONCE = 128
_PATIENCE_S = 10.0
# A second, of what anybody can ask for again and again without end.
_NONCES, _UNKNOWN = 500.0, 50.0


@dataclass(frozen=True, slots=True)
class _Ready:
    """An answer as it goes out. `changed_at` is what it is based on, `until` how long it is kept (monotonic)."""

    body: bytes
    headers: Headers
    etag: bytes
    changed_at: datetime | None
    until: float


class Responder:
    """Answers for the issuing CAs of one bank, whose certificates are given as DER. Belongs to one event loop.

    `clock` returns seconds.
    """

    def __init__(
        self,
        ports: Ports,
        bank: Bank,
        issuing: Mapping[IssuingCa, bytes],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ports, self._bank = ports, bank.code
        self._issuers: dict[IssuerId, IssuingCa] = {
            issuer_id: ca
            for ca, der in issuing.items()
            for issuer_id in ocsp.issuer_ids(x509.load_der_x509_certificate(der)).values()
        }
        self._clock = clock
        self._nonces = Allowance(_NONCES if bank.policy.ocsp_nonce else 0.0, clock)
        self._unknown = Allowance(_UNKNOWN, clock)
        self._questions: dict[bytes | str, AskedAbout] = {}
        self._ready: dict[AskedAbout, _Ready] = {}
        self._waiting: dict[AskedAbout | object, tuple[AskedAbout, asyncio.Future[_Ready]]] = {}
        self._worker: asyncio.Task[None] | None = None
        self._look: asyncio.Task[None] | None = None
        self._looked_at = float("-inf")
        self._last: datetime | None = None
        self._changed: dict[tuple[IssuingCa, int], datetime] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        method = scope["method"]
        body: bytes | str | None
        if method == "POST":
            body = await _body(receive)
        elif method in {"GET", "HEAD"}:
            body = scope["path"]
        else:
            await _send(send, 405, [(b"allow", b"GET, HEAD, POST"), (b"content-length", b"0")], b"")
            return
        ready = self._at_hand(self._questions.get(body)) if body is not None else None
        if ready is None:
            try:
                ready = await self._answer(body)
            except _Unsigned as unsigned:
                await _send(send, 200, unsigned.headers, b"" if method == "HEAD" else unsigned.body)
                return
        if method != "POST" and _has(scope["headers"], ready.etag):
            await _send(send, 304, ready.headers, b"")
            return
        await _send(send, 200, ready.headers, b"" if method == "HEAD" else ready.body)

    def _at_hand(self, asked: AskedAbout | None) -> _Ready | None:
        """Return an answer that is kept and may be given without waiting for anything."""
        if asked is None:
            return None
        ready = self._ready.get(asked)
        now = self._clock()
        age = now - self._looked_at
        if ready is None or now >= ready.until or age >= _STALE_S:
            return None
        if age >= _LOOK_AFTER_S and self._look is None:
            self._start_look()
        return ready

    async def _answer(self, body: bytes | str | None) -> _Ready:
        """Return the answer to a question, or raise the one that nobody signs."""
        asked = self._read(body)
        if asked.nonce is None:
            if self._clock() - self._looked_at >= _STALE_S:
                await self._await_look()
            ready = self._at_hand(asked)
            if ready is not None:
                return ready
        return await self._signed(asked)

    def _read(self, body: bytes | str | None) -> AskedAbout:
        known = None if body is None else self._questions.get(body)
        if known is not None:
            return known
        if body is None:
            raise _Unsigned(ocsp.MALFORMED_REQUEST)
        try:
            question = ocsp.read_question(_decoded(body) if isinstance(body, str) else body)
        except ocsp.Malformed:
            raise _Unsigned(ocsp.MALFORMED_REQUEST) from None
        ca = self._issuers.get(question.issuer)
        if ca is None:
            raise _Unsigned(ocsp.UNAUTHORIZED)
        if question.serial <= 0:
            raise _Unsigned(ocsp.MALFORMED_REQUEST)
        digest = question.issuer.digest
        # Past the allowance a nonce is left out, as RFC 9919 lets responders do, and what is kept does.
        if question.nonce is not None and self._nonces.take():
            return AskedAbout(ca, digest, question.serial, question.nonce)
        asked = AskedAbout(ca, digest, question.serial)
        if question.nonce is None:
            _keep(self._questions, body, asked)
        return asked

    # ---------------------------------------------------------------- signing

    async def _signed(self, asked: AskedAbout) -> _Ready:
        """Have an answer signed, together with whatever else waits for one."""
        key: AskedAbout | object = asked if asked.nonce is None else object()
        waiting = self._waiting.get(key)
        if waiting is None:
            if len(self._waiting) >= _WAITING:
                raise _Unsigned(ocsp.TRY_LATER)
            waiting = self._waiting[key] = asked, asyncio.get_running_loop().create_future()
            if self._worker is None:
                self._worker = asyncio.get_running_loop().create_task(self._work())
        try:
            return await asyncio.wait_for(asyncio.shield(waiting[1]), _PATIENCE_S)
        except (Refusal, TimeoutError):
            raise _Unsigned(ocsp.TRY_LATER) from None
        except Exception:  # noqa: BLE001 - the worker has written it down
            raise _Unsigned(ocsp.INTERNAL_ERROR) from None

    async def _work(self) -> None:
        """Have signed what waits, as much at once as there is, until nothing does."""
        try:
            while self._waiting:
                batch = [self._waiting.pop(key) for key in list(self._waiting)[:_AT_ONCE]]
                outcomes = await self._sign([asked for asked, _ in batch])
                for (asked, future), outcome in zip(batch, outcomes, strict=True):
                    if future.done():
                        continue
                    if isinstance(outcome, Exception):
                        future.set_exception(outcome)
                        future.exception()  # whoever waited may have gone
                    else:
                        future.set_result(self._kept(asked, outcome))
        finally:
            self._worker = None

    async def _sign(self, asked: list[AskedAbout]) -> list[Answered | Exception]:
        try:
            outcomes = await asyncio.to_thread(
                answer_questions, self._ports, bank=self._bank, asked=asked, may_sign=self._unknown.take
            )
        except Exception as failure:  # noqa: BLE001 - told to everyone who waits
            outcomes = [failure] * len(asked)
        for bug in {repr(one): one for one in outcomes if isinstance(one, Exception) and not isinstance(one, Refusal)}:
            log.error("an answer about a certificate could not be made: %s", bug)
        return outcomes

    def _kept(self, asked: AskedAbout, answered: Answered) -> _Ready:
        ready = _ready(answered, self._clock(), with_nonce=asked.nonce is not None)
        # What is not known may be issued in a moment; and what changed since it was read is read again.
        outdated = self._changed.get((asked.ca, asked.serial), answered.changed_at) != answered.changed_at
        if asked.nonce is None and answered.status is not Status.UNKNOWN and not outdated:
            _keep(self._ready, asked, ready)
        return ready

    # ---------------------------------------------------------------- looking

    async def _await_look(self) -> None:
        """Wait for a look at what changed. Raises `_Unsigned` where the table cannot be looked at."""
        look = self._look or self._start_look()
        began = self._looked_at
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(look), _PATIENCE_S)
        if self._looked_at == began:
            raise _Unsigned(ocsp.TRY_LATER)

    def _start_look(self) -> asyncio.Task[None]:
        self._look = asyncio.get_running_loop().create_task(self._take_look())
        return self._look

    async def _take_look(self) -> None:
        """Drop whatever is kept and was changed."""
        began = self._clock()
        try:
            self._last, changes = await asyncio.to_thread(changed_since, self._ports, bank=self._bank, last=self._last)
        except Refusal:
            return  # the store has said so itself
        except Exception:
            log.exception("a look at what changed failed")
            return
        finally:
            self._look = None
        self._drop(changes)
        self._looked_at = began

    def _drop(self, changes: list[Changed]) -> None:
        self._changed = {(one.ca, one.serial): one.at for one in changes}
        for one in changes:
            for digest in ocsp.Digest:
                asked = AskedAbout(one.ca, digest, one.serial)
                ready = self._ready.get(asked)
                if ready is not None and ready.changed_at != one.at:
                    del self._ready[asked]


class _Unsigned(Exception):  # noqa: N818 - names what is answered
    """An answer that nobody signs."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.body = body
        self.headers = [_CONTENT_TYPE, _length(body), (b"cache-control", b"no-store")]


def _keep(kept: dict[Any, Any], key: Any, value: Any) -> None:
    """Keep something, and forget what was kept first where it is too much."""
    if len(kept) >= _KEPT and key not in kept:
        del kept[next(iter(kept))]
    kept[key] = value


def _ready(answered: Answered, now: float, *, with_nonce: bool) -> _Ready:
    der = answered.der
    etag = b'"' + hashlib.sha256(der).hexdigest().encode() + b'"'
    headers = [_CONTENT_TYPE, _length(der)]
    if with_nonce or answered.status is Status.UNKNOWN:
        headers.append((b"cache-control", b"no-store"))
    else:
        headers += [
            (b"cache-control", b"max-age=%d, public, no-transform, must-revalidate" % _MAX_AGE_S),
            (b"etag", etag),
            (b"last-modified", _http_date(answered.this_update)),
            (b"expires", _http_date(answered.next_update)),
        ]
    life = (answered.next_update - answered.this_update).total_seconds()
    return _Ready(der, headers, etag, answered.changed_at, now + life / 2)


def _http_date(at: datetime) -> bytes:
    return format_datetime(at, usegmt=True).encode()


def _length(body: bytes) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % len(body)


def _has(headers: Headers, etag: bytes) -> bool:
    return any(name == b"if-none-match" and etag in value for name, value in headers)


def _decoded(path: str) -> bytes:
    """Return the question that a GET's path holds in base64 (RFC 6960 appendix A.1). Raises `Malformed`."""
    text = path.removeprefix(PATH).removeprefix("/")
    if not 0 < len(text) <= _LONGEST_GET:
        raise ocsp.Malformed("no question, or too long a one")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as wrong:
        raise ocsp.Malformed("not base64") from wrong


async def _body(receive: Receive) -> bytes | None:
    """Return a request's body, or None where it is too long for a question or its sender went away."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += bytes(message.get("body", b""))
        if len(body) > ocsp.LONGEST_QUESTION:
            return None
        if not message.get("more_body", False):
            return body


async def _send(send: Send, status: int, headers: Headers, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
