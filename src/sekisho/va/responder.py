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
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from cryptography import x509

from sekisho.domain.errors import Refusal
from sekisho.pki import ocsp
from sekisho.pki.ocsp import Status
from sekisho.usecases.answer_ocsp import AskedAbout, answer_questions, changed_since
from sekisho.va.allowance import Allowance
from sekisho.va.kept import Kept, messages, unsigned, write_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from starlette.types import Receive, Scope, Send

    from sekisho.domain.contract import Bank
    from sekisho.domain.issuing_ca import IssuingCa
    from sekisho.pki.ocsp import IssuerId
    from sekisho.usecases.answer_ocsp import Answered
    from sekisho.usecases.ports import Ports
    from sekisho.va.kept import Headers, Messages, Octets, Place, Ready

log = logging.getLogger("sekisho.va")
PATH = "/ocsp"
_LONGEST_GET = 4 * (ocsp.LONGEST_QUESTION // 3 + 1)
_STALE_S = 1.0  # what is kept is as old as this at most
_LOOK_AFTER_S = 0.4  # so that nobody waits for a look while questions keep coming
_KEPT = 20_000  # answers of about 1 kB, and as many questions of about 100 octets
_WAITING = 1_000
_AT_ONCE = 128
_PATIENCE_S = 10.0
# A second, of what anybody can ask for again and again without end.
_NONCES, _UNKNOWN = 500.0, 50.0


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
        self._kept = Kept(_KEPT)
        self._waiting: dict[AskedAbout | object, tuple[AskedAbout, list[asyncio.Future[Ready]]]] = {}
        self._worker: asyncio.Task[None] | None = None
        self._look: asyncio.Task[None] | None = None
        self._looked_at = float("-inf")
        self._last: datetime | None = None
        self._changed: dict[tuple[IssuingCa, int], datetime] = {}
        self._revoked_cas: frozenset[IssuingCa] = frozenset()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        method = scope["method"]
        question: bytes | str | None
        if method == "POST":
            question = await _body(receive)
        elif method in {"GET", "HEAD"}:
            question = scope["path"]
        else:
            await _send(send, messages(405, [(b"allow", b"GET, HEAD, POST"), (b"content-length", b"0")], b""))
            return
        ready = self._at_hand(self._kept.find(question))
        if ready is None:
            try:
                ready = await self._answer(question)
            except _Unsigned as told:
                await _send(send, messages(200, unsigned(told.body), b"" if method == "HEAD" else told.body))
                return
        start, body = ready.to(method, scope["headers"]).messages
        await _send(send, (start, {**body, "body": b""} if method == "HEAD" else body))

    def at_hand(self, method: str, path: str, headers: Headers, body: bytes) -> Octets | None:
        """Return the answer to a GET or a POST where it is kept, or None where it has to be made."""
        ready = self._at_hand(self._kept.find(body if method == "POST" else path))
        return None if ready is None else ready.to(method, headers).octets

    def _at_hand(self, place: Place | None) -> Ready | None:
        """Return an answer that is kept and may be given without waiting for anything."""
        if place is None or place.ready is None:
            return None
        now = self._clock()
        age = now - self._looked_at
        if now >= place.ready.until or age >= _STALE_S:
            return None
        if age >= _LOOK_AFTER_S and self._look is None:
            self._start_look()
        return place.ready

    async def _answer(self, question: bytes | str | None) -> Ready:
        """Return the answer to a question, or raise the one that nobody signs."""
        asked = self._read(question)
        if asked.nonce is None:
            if self._clock() - self._looked_at >= _STALE_S:
                await self._await_look()
            ready = self._at_hand(self._kept.of(asked))
            if ready is not None:
                return ready
        return await self._signed(asked)

    def _read(self, body: bytes | str | None) -> AskedAbout:
        known = self._kept.find(body)
        if known is not None and body is not None:
            return self._kept.learn(body, known.asked)
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
            self._kept.learn(body, asked)
        return asked

    # ---------------------------------------------------------------- signing

    async def _signed(self, asked: AskedAbout) -> Ready:
        """Have an answer signed, together with whatever else waits for one."""
        loop = asyncio.get_running_loop()
        key: AskedAbout | object = asked if asked.nonce is None else object()
        waiting = self._waiting.get(key)
        if waiting is None:
            if len(self._waiting) >= _WAITING:
                raise _Unsigned(ocsp.TRY_LATER)
            waiting = self._waiting[key] = asked, []
            if self._worker is None:
                self._worker = loop.create_task(self._work())
        # One for each who asks: whoever goes away takes nobody else's answer along.
        mine: asyncio.Future[Ready] = loop.create_future()
        waiting[1].append(mine)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await mine
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
                for (asked, futures), outcome in zip(batch, outcomes, strict=True):
                    made = outcome if isinstance(outcome, Exception) else self._keep(asked, outcome)
                    for future in futures:
                        if future.done():
                            continue  # whoever waited has gone
                        if isinstance(made, Exception):
                            future.set_exception(made)
                            future.exception()  # whoever waited may go at this very moment
                        else:
                            future.set_result(made)
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

    def _keep(self, asked: AskedAbout, answered: Answered) -> Ready:
        made = write_answer(answered, self._clock(), with_nonce=asked.nonce is not None)
        # What is not known may be issued in a moment; and what changed since it was read is read again.
        outdated = self._changed.get((asked.ca, asked.serial), answered.changed_at) != answered.changed_at
        outdated |= asked.ca in self._revoked_cas and answered.status is not Status.REVOKED
        if asked.nonce is None and answered.known and not outdated:
            self._kept.keep(asked, made)
        return made

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
            look = await asyncio.to_thread(changed_since, self._ports, bank=self._bank, last=self._last)
        except Refusal:
            return  # the store has said so itself
        except Exception:
            log.exception("a look at what changed failed")
            return
        finally:
            self._look = None
        self._last = look.at
        self._changed = {(one.ca, one.serial): one.at for one in look.changes}
        self._kept.drop_changed(look.changes)
        if look.revoked_cas != self._revoked_cas:
            # Whatever is kept of an issuing CA says what was so before it was revoked.
            self._revoked_cas = look.revoked_cas
            self._kept.drop_of(look.revoked_cas)
        self._looked_at = began


class _Unsigned(Exception):  # noqa: N818 - names what is answered
    """An answer that nobody signs."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.body = body


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


async def _send(send: Send, answer: Messages) -> None:
    start, body = answer
    await send(start)
    await send(body)
