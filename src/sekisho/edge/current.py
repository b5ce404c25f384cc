"""A site's context as its certificate files are now, without a restart."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from sekisho.edge.context import SiteTls, server_context
from sekisho.edge.unusable import ServerCertificateUnusable

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger("sekisho.edge")


class CurrentContext:
    """Holds the context that new connections get; open ones keep theirs.

    A replaced certificate gets a new context, since one that was loaded into
    the old would leave there what was of another kind of key. Raises
    `ServerCertificateUnusable`.
    """

    def __init__(self, tls: SiteTls) -> None:
        self.tls = tls
        self._seen = self._read = _states(tls)
        self.context = server_context(tls)

    async def keep_current(self, look_s: float) -> None:
        """Look at the files every `look_s`, until cancelled."""
        while True:
            await asyncio.sleep(look_s)
            self.look()

    def look(self) -> None:
        """Read the files where they have changed; leave the old certificate in force where they cannot be used.

        Certificate and key are replaced one after the other, so they are read
        once they have stood still from one look to the next.
        """
        last, self._seen = self._seen, _states(self.tls)
        if self._seen != last or self._seen == self._read:
            return
        self._read = self._seen
        try:
            self.context = server_context(self.tls)
        except ServerCertificateUnusable as unusable:
            log.error("the new server certificate cannot be used, the old one stays: %s", unusable)  # noqa: TRY400
        else:
            log.info("the new server certificate is in use: %s", self.tls.certificate)


def _states(tls: SiteTls) -> list[tuple[int, int, int] | None]:
    return [_state(tls.certificate), _state(tls.key)]


def _state(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
