"""TLS on one connection, as asyncio drives it."""

from __future__ import annotations

import logging
import ssl
from typing import Any

log = logging.getLogger("sekisho.edge")


class Connection(ssl.SSLObject):
    """One side of TLS that lets a visitor whom it refuses hear why.

    asyncio ends a connection as soon as its handshake fails: before the alert
    is sent (python/cpython issue 98078), and with the visitor's own bytes
    unread, on which the kernel resets the connection and the visitor's side
    may drop an alert that it has received already. A browser then forgets
    nothing. So a failure is told to asyncio as wanting more: what is to be
    sent is sent, what still comes is thrown away, and the visitor hangs up,
    or the deadline of handshakes does.
    """

    incoming: ssl.MemoryBIO
    _failed = False

    def do_handshake(self) -> None:
        """Go on with the handshake. Raises SSLWantReadError as long as it is not done."""
        if not self._failed:
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError as failure:
                log.debug("a handshake failed: %s", failure)
                self._failed = True
            else:
                return
        self.incoming.read()
        raise ssl.SSLWantReadError

    def getpeercert(self, binary_form: bool = False) -> Any:  # noqa: FBT001, FBT002 - the base class's signature
        """Return the visitor's certificate as DER bytes, or None.

        asyncio asks for the decoded form after each handshake and makes no
        use of it; a certificate that Python cannot decode must not end the
        connection.
        """
        return super().getpeercert(binary_form=True) if binary_form else None


class ServerContext(ssl.SSLContext):
    """Makes connections, and knows of itself what they tell their applications."""

    server_certificate: str
    """PEM of the leaf."""
    cipher_numbers: dict[str, int]
    """As registered with IANA, by OpenSSL's names."""
    keeps_alive: Any = None
    """What OpenSSL calls and Python would collect."""

    def wrap_bio(self, incoming: ssl.MemoryBIO, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """Start a connection."""
        connection = super().wrap_bio(incoming, *args, **kwargs)
        if isinstance(connection, Connection):
            connection.incoming = incoming
        return connection
