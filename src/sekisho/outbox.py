"""Mails as files: what one machine has in place of a mail server."""

from __future__ import annotations

import os
from email.policy import SMTP
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from email.message import EmailMessage
    from pathlib import Path


class Outbox:
    """A folder of .eml files, named by key, so that the same mail again replaces itself."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, message: EmailMessage, key: str) -> None:
        """Write the mail, whole or not at all."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self._folder / f".{key}.new"
        with new.open("wb") as out:
            out.write(message.as_bytes(policy=SMTP))
            out.flush()
            os.fsync(out.fileno())
        new.replace(self._folder / f"{key}.eml")
