"""Cookies: `__Host-` ones, each site's with a name of its own, since cookies do not know ports."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.responses import Response


def session_name(site: str) -> str:
    """Name the cookie that holds a session's token."""
    return f"__Host-sekisho-{site}"


def browser_name(site: str) -> str:
    """Name the cookie that a site's forms are bound to."""
    return f"__Host-sekisho-{site}-browser"


def language_name(site: str) -> str:
    """Name the cookie that remembers the language."""
    return f"__Host-sekisho-{site}-lang"


def put(response: Response, name: str, value: str, *, seconds: int | None = None) -> None:
    """Set a cookie: secure, for this host alone, out of any script's reach; for the browser's session by default."""
    response.set_cookie(name, value, max_age=seconds, path="/", secure=True, httponly=True, samesite="lax")


def drop(response: Response, name: str) -> None:
    """Take a cookie back."""
    response.delete_cookie(name, path="/", secure=True, httponly=True, samesite="lax")


def write_token(token: bytes) -> str:
    """Write random bytes as a cookie's value."""
    return base64.urlsafe_b64encode(token).rstrip(b"=").decode()


def read_token(value: str | None, length: int) -> bytes | None:
    """Read them back; None where the value is missing or is nothing that we wrote."""
    if value is None:
        return None
    try:
        token = base64.urlsafe_b64decode(value.encode() + b"=" * (-len(value) % 4))
    except (binascii.Error, ValueError):
        return None
    return token if len(token) == length else None
