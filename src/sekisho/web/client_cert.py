"""The certificate that the visitor's handshake proved, as the edge handed it on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Scope

EXTENSION = "sekisho.client_certificate"


def client_certificate(scope: Scope) -> bytes | None:
    """Return the leaf's DER bytes, or None. It comes from the connection; no header can set it."""
    der: bytes | None = scope.get("extensions", {}).get(EXTENSION)
    return der
