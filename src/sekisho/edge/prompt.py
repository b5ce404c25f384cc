"""Answers that are at hand go out as soon as a request is whole, without an application being started for it.

ASGI makes a task for each request, lets it wait for a body that is there
already, and writes head and body one after the other: for an answer of a
kilobyte that lies in memory, more than all the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from sekisho.edge.protocol import EdgeProtocol, date_header

if TYPE_CHECKING:
    from collections.abc import Callable

    from uvicorn import Config
    from uvicorn.server import ServerState

    Headers = list[tuple[bytes, bytes]]
    # An answer as HTTP/1.1 writes it: status line; header lines with the empty one, but for the date; body.
    Octets = tuple[bytes, bytes, bytes]
    # Takes method, path as ASGI has it, headers and body; None is the answer to what it does not know.
    AtHand = Callable[[str, str, Headers, bytes], Octets | None]

# As a question of OCSP may have at most; what is longer is read by an application.
LONGEST_BODY = 4096
_MOST_DIGITS = 4


class PromptProtocol(EdgeProtocol):
    """Asks `at_hand` for the answer to each plain request; what it does not know goes to the application.

    Plain is a GET or a short POST of HTTP/1.1 on a connection that stays,
    while nothing else is being answered on it. For connections without TLS.
    """

    def __init__(self, config: Config, server_state: ServerState, at_hand: AtHand) -> None:
        super().__init__(config, server_state, None)
        self._at_hand = at_hand
        # What came of the body of a request that may be answered at once; None where the application has it.
        self._held: bytes | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being answered, or being read to be."""
        return self._held is None and super().is_idle

    def shutdown(self) -> None:
        """End the connection: now, or with the answer to what is being read or answered."""
        if self._held is None:
            super().shutdown()
        else:
            self._is_last = True

    def on_message_begin(self) -> None:
        """Begin a request, which may have come together with one that was answered at once."""
        self._unset_keepalive_if_required()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Hold the request where it may be answered at once. Raises ValueError, which refuses it."""
        if not self._is_plain():
            super().on_headers_complete()
            return
        self._end_head()
        self._held = b""

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        if self._held is None:
            super().on_body(body)
        else:
            self._held += body

    def on_message_complete(self) -> None:
        """Answer what is at hand, and let the application answer all else."""
        held, self._held = self._held, None
        if held is not None:
            answer = None if self._is_last or self.flow.write_paused else self._find(held)
            if answer is not None:
                self._end_message()
                status, head, body = answer
                self.transport.write(b"%bdate: %b\r\n%b%b" % (status, date_header()[0][1], head, body))
                self.on_response_complete()
                return
            super().on_headers_complete()
            if held:
                super().on_body(held)
        super().on_message_complete()

    def _find(self, body: bytes) -> Octets | None:
        path = self.url.decode("ascii")
        return self._at_hand(self.scope["method"], unquote(path) if "%" in path else path, self.headers, body)

    def _is_plain(self) -> bool:
        method = self.parser.get_method()
        if (
            method not in {b"GET", b"POST"}
            or self.pipeline
            or not self.is_idle
            or self.expect_100_continue
            or self.parser.get_http_version() != "1.1"
            or not self.parser.should_keep_alive()
            or self.parser.should_upgrade()
            or not self.url.startswith(b"/")
            or b"?" in self.url
            or b"#" in self.url
        ):
            return False
        self.scope["method"] = method.decode("ascii")
        length = b"0" if method == b"GET" else b""
        for name, value in self.headers:
            if name == b"content-length":
                length = value
            elif name == b"transfer-encoding":
                return False
        return length.isdigit() and len(length) <= _MOST_DIGITS and int(length) <= LONGEST_BODY
