"""What Python's ssl module has no way to say, said to the OpenSSL that it is linked with.

Two things (RFC 8446 sections 4.3.2 and 4.4.2): that any client certificate
passes the handshake, which then proves only that the visitor holds its key -
so that an expired or unknown one meets a page and not the browser's error -
and which issuing CAs a certificate is asked from, so that the browser offers
only those that fit.

`SSL_CTX *` stands right behind the object header of `_ssl._SSLContext` in
every CPython so far, and the functions are found through the very `_ssl`
module that made the context, never through another copy of the library.
`holds` tries all of it out on the running Python before anyone relies on it.
"""

from __future__ import annotations

import _ssl
import ctypes
import hashlib
import ssl
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_CTRL_SET_SESSION_CACHE_MODE = 44
_SESSION_CACHE_OFF = 0
_CERT_REVOKED = 23  # X509_V_ERR_CERT_REVOKED, which goes out as the alert certificate_revoked
_VERIFY = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


@cache
def _library() -> ctypes.CDLL:
    """Return the functions. Raises OSError or AttributeError where this Python does not let them be found."""
    library = ctypes.CDLL(_ssl.__file__)
    pointer, number, data = ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_ubyte)
    for name, result, arguments in (
        ("SSL_CTX_set_cert_verify_callback", None, (pointer, _VERIFY, pointer)),
        ("SSL_CTX_add_client_CA", number, (pointer, pointer)),
        ("SSL_CTX_get_verify_mode", number, (pointer,)),
        ("SSL_CTX_ctrl", ctypes.c_long, (pointer, number, ctypes.c_long, pointer)),
        ("X509_STORE_CTX_get0_cert", pointer, (pointer,)),
        ("X509_STORE_CTX_set_error", None, (pointer, number)),
        ("d2i_X509", pointer, (pointer, ctypes.POINTER(ctypes.c_char_p), ctypes.c_long)),
        ("i2d_X509", number, (pointer, ctypes.POINTER(data))),
        ("X509_free", None, (pointer,)),
        ("CRYPTO_free", None, (pointer, ctypes.c_char_p, number)),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def _pointer(context: ssl.SSLContext) -> int:
    """Return the context's `SSL_CTX *`. Raises RuntimeError where it is not found where it should stand."""
    found = ctypes.c_void_p.from_address(id(context) + object.__basicsize__).value
    if not found or _library().SSL_CTX_get_verify_mode(found) != _VERIFY_MODES[context.verify_mode]:
        raise RuntimeError("the context's SSL_CTX is not where it is in other builds of Python")
    return found


# SSL_VERIFY_NONE, SSL_VERIFY_PEER, and SSL_VERIFY_PEER with FAIL_IF_NO_PEER_CERT.
_VERIFY_MODES = {ssl.CERT_NONE: 0, ssl.CERT_OPTIONAL: 1, ssl.CERT_REQUIRED: 3}


def accept_any_client_certificate(context: ssl.SSLContext, refuse: Callable[[bytes], bool]) -> None:
    """Let every client certificate through, but those whose SHA-256 `refuse` returns True for.

    No session is resumed: a resumed one would skip the callback.
    """
    context.verify_mode = ssl.CERT_OPTIONAL
    library, pointer = _library(), _pointer(context)

    def verify(store: int, _argument: int | None) -> int:
        try:
            leaf = library.X509_STORE_CTX_get0_cert(store)
            if leaf and not refuse(hashlib.sha256(_der(leaf)).digest()):
                return 1
        except Exception:  # noqa: BLE001, S110 - an exception has no way through C: the door stays shut
            pass
        library.X509_STORE_CTX_set_error(store, _CERT_REVOKED)
        return 0

    callback = _VERIFY(verify)
    # OpenSSL keeps only the address; the context keeps the function alive for as long as it lives itself.
    context.__dict__["_client_certificate_callback"] = callback
    library.SSL_CTX_set_cert_verify_callback(pointer, callback, None)
    library.SSL_CTX_ctrl(pointer, _CTRL_SET_SESSION_CACHE_MODE, _SESSION_CACHE_OFF, None)


def ask_for_certificates_of(context: ssl.SSLContext, authorities: Sequence[bytes]) -> None:
    """Name the issuing CAs (DER certificates) whose certificates the handshake asks for."""
    library, pointer = _library(), _pointer(context)
    for der in authorities:
        start = ctypes.c_char_p(der)
        authority = library.d2i_X509(None, ctypes.byref(start), len(der))
        if not authority:
            raise ValueError("an issuing CA's certificate cannot be read")
        try:
            if library.SSL_CTX_add_client_CA(pointer, authority) != 1:
                raise MemoryError
        finally:
            library.X509_free(authority)


def _der(certificate: int) -> bytes:
    library = _library()
    out: Any = ctypes.POINTER(ctypes.c_ubyte)()
    length = library.i2d_X509(certificate, ctypes.byref(out))
    if length < 0:
        raise ValueError("a client certificate cannot be written")
    try:
        return ctypes.string_at(out, length)
    finally:
        library.CRYPTO_free(out, b"", 0)
