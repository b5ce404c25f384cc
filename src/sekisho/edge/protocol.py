"""HTTP/1.1 on one connection: uvicorn's, with the visitor's certificate and bounds on the slow and the endless."""

from __future__ import annotations

import hashlib
import time
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sekisho.edge.tls_scope import tls_extensions

if TYPE_CHECKING:
    import asyncio

    from uvicorn import Config
    from uvicorn.server import ServerState

    from sekisho.edge.choice import ChoiceBook

_LONGEST_HEAD = 32 * 1024
_HEAD_S = 10.0  # from the end of the handshake, or the first byte, to the end of a request's head
_BODY_S = 60.0  # from there to the request's last byte
_STALL_S = 30.0  # for which a visitor may leave the answer unread
_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def date_header() -> list[tuple[bytes, bytes]]:
    """Return what says when an answer was made: RFC 9110 section 6.6.1."""
    return _date(int(time.time()))


@lru_cache(maxsize=1)
def _date(second: int) -> list[tuple[bytes, bytes]]:
    return [(b"date", formatdate(second, usegmt=True).encode("ascii"))]


class EdgeProtocol(HttpToolsProtocol):
    """Puts what the handshake proved into every request's scope; no header can set it.

    `ended` is done once the connection is lost.
    """

    def __init__(self, config: Config, server_state: ServerState, choices: ChoiceBook | None) -> None:
        super().__init__(config=config, server_state=server_state, app_state={})
        self.ended: asyncio.Future[None] = self.loop.create_future()
        self._choices = choices
        self._extensions: dict[str, Any] = {}
        self._fingerprint = b""
        self._in_head, self._bytes = True, 0
        self._is_last = False
        self._deadline: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being answered."""
        return not self._is_answering

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr] # None before the first

    def leave(self) -> None:
        """Make the answer that is under way, or else the next, the last one; without any the connection times out."""
        self._is_last = True
        # Once the answer's head is on its way it cannot say any more that it is the last one.
        if self._is_answering and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Read the certificate, once for all requests of this connection."""
        super().connection_made(transport)
        self._set_deadline(_HEAD_S)
        connection = transport.get_extra_info("ssl_object")
        if connection is not None:
            self._extensions = tls_extensions(connection)
            der = self._extensions["sekisho.client_certificate"]
            if der is not None and self._choices is not None:
                self._fingerprint = hashlib.sha256(der).digest()
                # Where this Python could not refuse the handshake, the mark is spent all the same.
                self._choices.take(self._fingerprint)
                self._choices.opened(self._fingerprint, self._end_soon)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._set_deadline(None)
        self.resume_writing()
        if self._choices is not None:
            self._choices.closed(self._fingerprint, self._end_soon)
        super().connection_lost(exc)
        if not self.ended.done():
            self.ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Take what came, as long as the head of a request keeps within its bounds."""
        if self.transport.is_closing():
            return
        if self._deadline is None:
            self._set_deadline(_HEAD_S)
        self._bytes += len(data)
        super().data_received(data)
        if self._in_head and self._bytes > _LONGEST_HEAD:
            self.send_400_response("")

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, or too long a one."""
        if not self.is_idle:
            self.transport.abort()  # an answer is on its way already, and this must not get into it
        elif self._in_head and self._bytes > _LONGEST_HEAD:
            self.transport.write(_TOO_LONG)
            self.transport.close()
        else:
            super().send_400_response(msg)

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.server_state.default_headers = date_header()
        super().on_message_begin()
        if self._extensions:
            self.scope["extensions"] = dict(self._extensions)

    def on_headers_complete(self) -> None:
        """Go on with the request's body, which is bounded by whoever reads it. Raises ValueError, which refuses it."""
        if self._choices is not None and self._fingerprint and self._choices.is_marked(self._fingerprint):
            # Another process was told to refuse the next handshake: the browser asks again over a new connection.
            self.transport.abort()
            return
        if self._in_head:
            self._end_head()
        super().on_headers_complete()
        if self._is_last:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """Stop the clock: from here on it is the application's time."""
        self._end_message()
        super().on_message_complete()

    def _end_head(self) -> None:
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > _LONGEST_HEAD:
            raise ValueError("the head is too long")  # where it came in one piece
        self._in_head = False
        self._set_deadline(_BODY_S)

    def _end_message(self) -> None:
        self._in_head, self._bytes = True, 0
        self._set_deadline(None)

    def pause_writing(self) -> None:
        """Wait for a visitor who reads slower than they are answered."""
        super().pause_writing()
        self._stall = self._stall or self.loop.call_later(_STALL_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on answering."""
        super().resume_writing()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _set_deadline(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)

    def _end_soon(self) -> None:
        self.loop.call_soon_threadsafe(self.shutdown)
