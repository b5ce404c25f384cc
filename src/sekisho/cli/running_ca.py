"""Be the CA's process of an installation. It knows no site and no database, nor are they loaded into it."""

from __future__ import annotations

import signal
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sekisho import wiring_ca
from sekisho.ca import peer, process
from sekisho.cli.failure import NoSuchUser

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sekisho.settings import Settings


def run_ca(settings: Settings, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
    """Be the CA's process of an installation; a test may give it a clock of its own."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # it ends when its parent does, and not before
    with wiring_ca.open_authority(settings, now=now) as authority:
        process.serve(authority, settings.ca_socket)


def run_ca_apart(settings: Settings, socket_file: Path, allowed: Sequence[str]) -> None:
    """Be the CA of an installation until SIGTERM, for other users as well. Raises `NoSuchUser`."""
    try:
        uids = peer.uids(allowed)
    except LookupError as unknown:
        raise NoSuchUser(str(unknown)) from unknown
    wiring_ca.take_prepared(settings)
    with wiring_ca.open_authority(settings) as authority:
        process.serve_apart(authority, socket_file.absolute(), uids)
