"""What an application learns of the TLS that it is behind: the ASGI TLS extension, and the certificate's bytes."""

from __future__ import annotations

import ssl
from typing import Any

from cryptography import x509

from sekisho.edge.connection import ServerContext

_VERSIONS = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}
_NOT_JUDGED = "not verified: the handshake proves that the visitor holds the key, the application judges the rest"


def tls_extensions(connection: ssl.SSLObject) -> dict[str, Any]:
    """Return the scope's extensions `tls` (ASGI TLS extension 0.2) and `sekisho.client_certificate` (DER, or None).

    The chain is the leaf alone, whatever else the visitor sent: it is told
    by nobody whom anyone trusts. A certificate never counts as verified.
    """
    der: bytes | None = connection.getpeercert(binary_form=True)
    context, cipher = connection.context, connection.cipher()
    ours = context if isinstance(context, ServerContext) else None
    return {
        "tls": {
            "server_cert": ours.server_certificate if ours else None,
            "client_cert_chain": [] if der is None else [ssl.DER_cert_to_PEM_cert(der)],
            "client_cert_name": None if der is None else _name(der),
            "client_cert_error": None if der is None else _NOT_JUDGED,
            "tls_version": _VERSIONS.get(connection.version() or ""),
            "cipher_suite": ours.cipher_numbers.get(cipher[0]) if ours and cipher else None,
        },
        "sekisho.client_certificate": der,
    }


def _name(der: bytes) -> str | None:
    """Return the subject as RFC 4514 writes it, or None where it cannot be read."""
    try:
        return x509.load_der_x509_certificate(der).subject.rfc4514_string()
    except ValueError:
        return None
