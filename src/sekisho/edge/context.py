"""The TLS of one site: RFC 9325, TLS 1.2 and 1.3."""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from sekisho.edge import openssl
from sekisho.edge.self_check import holds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sekisho.edge.choice import ChoiceBook

log = logging.getLogger("sekisho.edge")
# ECDHE with an AEAD: RFC 9325 section 4.2. TLS 1.3 has no others.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, which ssl.VerifyFlags does not name


@dataclass(frozen=True, slots=True)
class SiteTls:
    """PEM files of the server, and for a secure site the DER certificates of the issuing CAs that it asks from."""

    certificate: Path
    key: Path
    client_authorities: Sequence[bytes] | None
    choices: ChoiceBook


@cache
def _everything_holds() -> bool:
    reason = holds()
    if reason is not None:
        log.warning(
            "this Python's ssl module cannot let every client certificate through (%s): a visitor whose certificate "
            "is of an unknown CA meets the browser's own error, pickers offer certificates of every kind, and "
            "「別の電子証明書を選ぶ」 needs a restart of the browser",
            reason,
        )
    return reason is None


def server_context(tls: SiteTls, *, public_api_only: bool | None = None) -> ssl.SSLContext:
    """Return the context of a site. `public_api_only` None finds out by itself what the running Python can do."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    # A resumed session would skip the judgement of the certificate and the book of choices.
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.num_tickets = 0
    context.load_cert_chain(tls.certificate, tls.key)
    if tls.client_authorities is None:
        return context
    if public_api_only is None:
        public_api_only = not _everything_holds()
    if public_api_only:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.verify_flags = ssl.VerifyFlags(context.verify_flags | _NO_CHECK_TIME)
        context.load_verify_locations(cadata=b"".join(tls.client_authorities))
    else:
        openssl.accept_any_client_certificate(context, tls.choices.take)
        openssl.ask_for_certificates_of(context, tls.client_authorities)
    return context


class Replacement:
    """Loads a server certificate anew when its files have changed: new handshakes get it, open ones stay."""

    def __init__(self, context: ssl.SSLContext, tls: SiteTls) -> None:
        self._context = context
        self._tls = tls
        self._seen = self._state()

    def check(self) -> bool:
        """Load what has changed, and tell whether anything was. What cannot be loaded leaves the old in force."""
        state = self._state()
        if state == self._seen:
            return False
        self._seen = state
        try:
            # Tried out first: a certificate whose key does not fit would leave the context with neither.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._tls.certificate, self._tls.key)
            self._context.load_cert_chain(self._tls.certificate, self._tls.key)
        except (OSError, ssl.SSLError) as unusable:
            log.error(  # noqa: TRY400 - one line says it
                "the new certificate in %s cannot be used (%s); the old one stays", self._tls.certificate, unusable
            )
            return False
        log.info("the certificate in %s is in use", self._tls.certificate)
        return True

    def _state(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_file_state(file) for file in (self._tls.certificate, self._tls.key))


def _file_state(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
