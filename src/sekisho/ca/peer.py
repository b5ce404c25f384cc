"""Who is at the other end of a Unix socket, by the kernel's word."""

from __future__ import annotations

import os
import pwd
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def uid_of(connection: socket.socket) -> int:
    """Return the user that connected, or that listens, as they were when they did.

    Where the system does not tell, it is taken to be this process's own user:
    the socket's permissions are what is left then.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        return os.getuid()
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, _gid = struct.unpack("3i", credentials)
    return int(uid)


def uids(names: Iterable[str]) -> frozenset[int]:
    """Return the numbers of users. Raises LookupError where there is none of a name."""
    found = set()
    for name in names:
        try:
            found.add(pwd.getpwnam(name).pw_uid)
        except KeyError:
            raise LookupError(f"this machine has no user {name}") from None
    return frozenset(found)


def notify_ready() -> None:
    """Tell systemd, where it started this process and waits for it, that the socket answers (sd_notify(3))."""
    address = os.environ.pop("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.connect("\0" + address[1:] if address.startswith("@") else address)
        manager.send(b"READY=1")
