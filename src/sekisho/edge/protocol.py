"""HTTP/1.1 on one connection: uvicorn's, with the client's certificate and with bounds on slow and endless senders."""

from __future__ import annotations

import hashlib
import ssl
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

    from sekisho.edge.choice import ChoiceBook

_LONGEST_HEAD = 32 * 1024
# From the first byte of a request, or from the end of the handshake, to the end of its head and to its last byte.
_HEAD_S = 10.0
_REQUEST_S = 60.0
_TLS_VERSIONS = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


class EdgeProtocol(HttpToolsProtocol):
    """Adds the ASGI TLS extension's shape and our own key `sekisho.client_certificate` (DER, or None).

    The certificate is read once for each connection, from the handshake; no
    header can set it.
    """

    choices: ChoiceBook | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Read what the handshake proved."""
        super().connection_made(transport)
        self._extensions: dict[str, Any] = {}
        self._fingerprint: bytes | None = None
        self._head_bytes = 0
        self._deadline = self.loop.call_later(_HEAD_S, self._give_up)
        shaken = transport.get_extra_info("ssl_object")
        if shaken is None:
            return
        der = shaken.getpeercert(binary_form=True)
        chain = [] if der is None else [ssl.DER_cert_to_PEM_cert(der)]
        self._extensions = {
            "tls": {
                "server_cert": None,
                "client_cert_chain": chain,
                "client_cert_name": None,
                "client_cert_error": None,
                "tls_version": _TLS_VERSIONS.get(shaken.version()),
                "cipher_suite": None,
            },
            "sekisho.client_certificate": der,
        }
        if der is not None and self.choices is not None:
            self._fingerprint = hashlib.sha256(der).digest()
            self.choices.opened(self._fingerprint, self._end_soon)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._deadline.cancel()
        if self._fingerprint is not None and self.choices is not None:
            self.choices.closed(self._fingerprint, self._end_soon)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, as long as the head of the request stays within its bound."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > _LONGEST_HEAD and not self.transport.is_closing():
            self.send_400_response("The head of the request is too long.")

    def on_message_begin(self) -> None:
        """Begin a request: its extensions are the connection's, its time starts."""
        super().on_message_begin()
        if self._extensions:
            self.scope["extensions"] = dict(self._extensions)
        self._deadline.cancel()
        self._deadline = self.loop.call_later(_HEAD_S, self._give_up)

    def on_headers_complete(self) -> None:
        """Go on with the request's body, which has more time."""
        self._head_bytes = -(1 << 62)  # a body is bounded by whoever reads it
        self._deadline.cancel()
        self._deadline = self.loop.call_later(_REQUEST_S, self._give_up)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Stop the clock: from here on it is the application's time."""
        self._head_bytes = 0
        self._deadline.cancel()
        super().on_message_complete()

    def _give_up(self) -> None:
        self.transport.abort()

    def _end_soon(self) -> None:
        """Let the connection end after the answer that is on its way; called from any thread."""
        self.loop.call_soon_threadsafe(self.shutdown)
