"""Mails as files: what one machine has in place of a mail server."""

from __future__ import annotations

import os
from contextlib import contextmanager
from email.policy import SMTP
from typing import TYPE_CHECKING, Self

from sekisho.usecases.ports import MailServerAway

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage
    from pathlib import Path


class Outbox:
    """A folder of .eml files, named by key, so that the same mail again replaces itself."""

    def __init__(self, folder: Path, sender: str) -> None:
        self._folder = folder
        self.sender = sender

    @contextmanager
    def line(self) -> Iterator[Self]:
        """Make the folder, and take mails."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as denied:
            raise MailServerAway(f"{self._folder}: {denied.strerror}") from denied
        yield self

    def send(self, message: EmailMessage, key: str) -> str:
        """Write the mail, whole or not at all."""
        new = self._folder / f".{key}.new"
        try:
            with new.open("wb") as out:
                out.write(message.as_bytes(policy=SMTP))
                out.flush()
                os.fsync(out.fileno())
            new.replace(self._folder / f"{key}.eml")
        except OSError as denied:
            raise MailServerAway(f"{new}: {denied.strerror}") from denied
        return "written to the folder"
