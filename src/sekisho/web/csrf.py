"""Forms are bound to the browser and the session that they were made for."""

from __future__ import annotations

import hashlib
import hmac

BROWSER_TOKEN = 16


class FormTokens:
    """HMAC-SHA-256 over the browser's cookie and the session's, so nothing has to be stored for a form."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, site: str, browser: bytes, session: bytes | None) -> str:
        """Return the token that a form of this browser and session carries."""
        bound = b"\0".join((site.encode(), browser, session or b""))
        return hmac.new(self._key, bound, hashlib.sha256).hexdigest()

    def fits(self, token: str, site: str, browser: bytes | None, session: bytes | None) -> bool:
        """Tell whether a form that came back is one that was made for this browser and session."""
        return browser is not None and hmac.compare_digest(self.make(site, browser, session).encode(), token.encode())
