"""What Python's ssl module has no way to say, said to the OpenSSL that it is linked with.

Three things: that any client certificate passes the handshake, which then
proves only that the visitor holds its key, so that an expired or unknown one
meets a page and not the browser's error; which issuing CAs a certificate is
asked from (RFC 8446 section 4.2.4), so that the browser offers only those
that fit; and that no session is kept, since a resumed one would skip the
first.

Nothing here guesses where things lie in memory. OpenSSL itself names each
`SSL_CTX` that it makes to whoever has asked for a place in its ex_data, and a
copy of the library that is not the one of the ssl module names none.
`sekisho.edge.self_check` tries all of it out before anyone relies on it.
"""

from __future__ import annotations

import _ssl
import ctypes
import logging
import ssl
import threading
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Context = TypeVar("Context", bound=ssl.SSLContext)

log = logging.getLogger("sekisho.edge")
_INDEX_SSL_CTX = 1  # CRYPTO_EX_INDEX_SSL_CTX
_SET_SESSION_CACHE_MODE, _SESSION_CACHE_OFF = 44, 0
_OK, _REJECTED = 0, 28  # X509_V_OK; X509_V_ERR_CERT_REJECTED goes out as the alert bad_certificate
_SHA256_BYTES = 32
_pointer, _int, _long = ctypes.c_void_p, ctypes.c_int, ctypes.c_long
_Verify = ctypes.CFUNCTYPE(_int, _pointer, _pointer)
_New = ctypes.CFUNCTYPE(None, _pointer, _pointer, _pointer, _int, _long, _pointer)
_made = threading.local()


@cache
def _library() -> ctypes.CDLL:
    """Return the functions. Raises OSError or AttributeError where this Python does not let them be found.

    Looked up through the loaded `_ssl` module they come from the very
    libraries that it needs. Where it is built into the interpreter it has no
    file, and nothing else that goes by these names is tried.
    """
    library = ctypes.CDLL(_ssl.__file__)
    for name, result, *arguments in (
        ("CRYPTO_get_ex_new_index", _int, _int, _long, _pointer, _New, _pointer, _pointer),
        ("SSL_CTX_set_cert_verify_callback", None, _pointer, _Verify, _pointer),
        ("SSL_CTX_add_client_CA", _int, _pointer, _pointer),
        ("SSL_CTX_ctrl", _long, _pointer, _int, _long, _pointer),
        ("X509_STORE_CTX_get0_cert", _pointer, _pointer),
        ("X509_STORE_CTX_set_error", None, _pointer, _int),
        ("EVP_sha256", _pointer),
        ("X509_digest", _int, _pointer, _pointer, ctypes.c_char_p, _pointer),
        ("i2d_X509", _int, _pointer, ctypes.POINTER(_pointer)),
        ("d2i_X509", _pointer, _pointer, ctypes.POINTER(ctypes.c_char_p), _long),
        ("X509_free", None, _pointer),
        ("ERR_clear_error", None),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def _note(parent: int, *_rest: object) -> None:
    """Note the `SSL_CTX *` that this thread is about to get from `SSL_CTX_new`."""
    _made.last = parent


_noting = _New(_note)  # OpenSSL has its address from here to the end of the process


@cache
def _watch() -> None:
    if _library().CRYPTO_get_ex_new_index(_INDEX_SSL_CTX, 0, None, _noting, None, None) < 0:
        raise MemoryError


def make_context(kind: type[Context]) -> tuple[Context, int]:
    """Return a new server context and its `SSL_CTX *`, good for as long as the context lives.

    Raises AttributeError, OSError or RuntimeError where this Python keeps it out of reach.
    """
    _watch()
    _made.last = None
    context = kind(ssl.PROTOCOL_TLS_SERVER)
    if not _made.last:
        raise RuntimeError("the ssl module uses another OpenSSL than the one that its file leads to")
    return context, _made.last


def accept_any_client_certificate(
    pointer: int, refused: Callable[[bytes], bool], key_fits: Callable[[bytes], bool] = lambda _: True
) -> Any:
    """Ask for a certificate and let every one through but those whose SHA-256 `refused` returns True for.

    And but for those whose key does not fit: `key_fits` looks at the DER,
    before the visitor's proof is computed with that key. Replaces OpenSSL's
    own verification as a whole. Returns what has to live as long as the
    context does, since OpenSSL keeps only its address.
    """
    library = _library()

    def written(leaf: int) -> bytes:
        length = library.i2d_X509(leaf, None)
        if length <= 0:
            raise ValueError("a certificate that cannot be written")
        buffer = ctypes.create_string_buffer(length)
        library.i2d_X509(leaf, ctypes.byref(ctypes.c_void_p(ctypes.addressof(buffer))))
        return buffer.raw

    def verify(store: int, _argument: object) -> int:
        passes = False
        try:
            digest = ctypes.create_string_buffer(_SHA256_BYTES)
            leaf = library.X509_STORE_CTX_get0_cert(store)
            passes = (
                library.X509_digest(leaf, library.EVP_sha256(), digest, None) == 1
                and not refused(digest.raw)
                and key_fits(written(leaf))
            )
        except Exception:
            # An exception has no way through C: the door stays shut.
            log.exception("a client certificate could not be looked up")
        library.X509_STORE_CTX_set_error(store, _OK if passes else _REJECTED)
        return int(passes)

    callback = _Verify(verify)
    library.SSL_CTX_set_cert_verify_callback(pointer, callback, None)
    return callback


def ask_for_certificates_of(pointer: int, authorities: Sequence[bytes]) -> None:
    """Name the issuing CAs (DER certificates) whose certificates are asked for. Raises ValueError."""
    library = _library()
    for der in authorities:
        authority = library.d2i_X509(None, ctypes.byref(ctypes.c_char_p(der)), len(der))
        if not authority:
            library.ERR_clear_error()  # else the ssl module meets what is not its own
            raise ValueError("an issuing CA's certificate cannot be read")
        added = library.SSL_CTX_add_client_CA(pointer, authority)
        library.X509_free(authority)
        if added != 1:
            raise MemoryError


def keep_no_sessions(pointer: int) -> None:
    """Switch the server's memory of sessions off, which TLS 1.2 resumes from where there are no tickets."""
    _library().SSL_CTX_ctrl(pointer, _SET_SESSION_CACHE_MODE, _SESSION_CACHE_OFF, None)
