"""「別の電子証明書を選ぶ」: a browser forgets its choice when one handshake with that certificate is refused."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING

from starlette.responses import Response

if TYPE_CHECKING:
    from sekisho.web.visit import Visit

# What the page's script takes for "go on" (RFC 9110 section 15.5.10).
_MOVED_ON = 409


def choose_another(visit: Visit) -> Response:
    """Have the edge refuse the next handshake with this certificate, so that the browser asks which one to show.

    Where the browser shows another one than the page was asked for with, it
    has moved on by itself: nothing is refused then, and nothing is left to be.
    """
    visit.check_form()
    if visit.der is None:
        return Response(status_code=_MOVED_ON)
    fingerprint = hashlib.sha256(visit.der).digest()
    if visit.form.get("shown") != fingerprint.hex():
        with suppress(ValueError):
            visit.site.choices.take(bytes.fromhex(visit.form.get("shown", "")))
        return Response(status_code=_MOVED_ON)
    visit.site.choices.mark(fingerprint)
    return Response(status_code=204, headers={"connection": "close"})
