"""The TLS of one site: versions 1.2 and 1.3 as RFC 9325 recommends, full handshakes only."""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sekisho.edge import openssl, self_check
from sekisho.edge.connection import Connection, ServerContext
from sekisho.edge.unusable import ServerCertificateUnusable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sekisho.edge.choice import ChoiceBook

log = logging.getLogger("sekisho.edge")
# RFC 9325 section 4.2: forward secrecy and an AEAD. TLS 1.3 has no others.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, which ssl.VerifyFlags does not name
MISSED = (
    "a visitor whose certificate is of an unknown CA meets the browser's own error instead of a page, browsers offer "
    "certificates of every kind, and 「別の電子証明書を選ぶ」 takes a restart of the browser"
)


@dataclass(frozen=True, slots=True)
class SiteTls:
    """What a site's TLS is made of.

    `certificate`, with its chain, and `key` are PEM files.
    `client_authorities` are the DER certificates of the issuing CAs that the
    site asks certificates from, None where it asks for none. `key_fits` tells
    of a certificate (DER) whether anything is to be computed with its key.
    """

    certificate: Path
    key: Path
    client_authorities: Sequence[bytes] | None
    choices: ChoiceBook
    key_fits: Callable[[bytes], bool] = lambda _: True


def server_context(tls: SiteTls, *, public_api_only: bool | None = None) -> ServerContext:
    """Return the context of a site. Raises `ServerCertificateUnusable`.

    Where `public_api_only` is None, what the running Python can do is found
    out, once, and what visitors will miss is logged.
    """
    if tls.client_authorities is None:
        context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    elif public_api_only or (public_api_only is None and not everything_holds()):
        context = _asking_by_public_api(tls.client_authorities)
    else:
        context = _asking_anyone(tls.client_authorities, tls)
    context.sslobject_class = Connection
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    # A resumed session would skip the look at the certificate.
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        leaf = x509.load_pem_x509_certificates(tls.certificate.read_bytes())[0]
    except (OSError, ValueError) as unusable:
        raise ServerCertificateUnusable(f"{tls.certificate} with {tls.key}: {unusable}") from unusable
    context.server_certificate = leaf.public_bytes(Encoding.PEM).decode("ascii")
    context.cipher_numbers = {cipher["name"]: cipher["id"] & 0xFFFF for cipher in context.get_ciphers()}
    return context


def _asking_anyone(authorities: Sequence[bytes], tls: SiteTls) -> ServerContext:
    context, pointer = openssl.make_context(ServerContext)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.keeps_alive = openssl.accept_any_client_certificate(pointer, tls.choices.take, tls.key_fits)
    openssl.ask_for_certificates_of(pointer, authorities)
    openssl.keep_no_sessions(pointer)
    return context


def _asking_by_public_api(authorities: Sequence[bytes]) -> ServerContext:
    """Return a context that lets expired certificates through, and no others but the good."""
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags = ssl.VerifyFlags(context.verify_flags | ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME)
    context.load_verify_locations(cadata=b"".join(authorities))
    return context


@cache
def everything_holds() -> bool:
    """Tell whether the running Python lets every client certificate through; log what is missed where it does not."""
    fault = self_check.find_fault()
    if fault is not None:
        log.warning("this Python's ssl module does not let every client certificate through (%s): %s", fault, MISSED)
    return fault is None
