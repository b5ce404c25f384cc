"""The CA as a process: answers questions on a Unix socket until its parent goes away."""

from __future__ import annotations

import logging
import os
import socket
import struct
import sys
import threading
from multiprocessing.connection import Connection, Listener
from typing import TYPE_CHECKING, BinaryIO

from sekisho.ca import wire
from sekisho.pki.profile import ProfileBroken

if TYPE_CHECKING:
    from pathlib import Path

    from sekisho.ca.signer import Signer

log = logging.getLogger("sekisho.ca")
# An honest caller sends its question at once.
_DEADLINE_S = 5.0
READY = b"ready\n"


def serve(signer: Signer, socket_file: Path, *, parent: BinaryIO = sys.stdin.buffer) -> None:
    """Answer until `parent` is closed, which happens when the process that started this one is gone.

    Prints `READY` once the socket answers. A stale socket is replaced.
    """
    socket_file.unlink(missing_ok=True)
    before = os.umask(0o077)
    try:
        listener = Listener(str(socket_file), family="AF_UNIX", backlog=128)
    finally:
        os.umask(before)
    threading.Thread(target=_accept, args=(listener, signer), daemon=True, name="ca-accept").start()
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    parent.read()
    socket_file.unlink(missing_ok=True)
    # The threads may be in the middle of a signature; the sites ask again.
    os._exit(0)


def _accept(listener: Listener, signer: Signer) -> None:
    while True:
        connection = listener.accept()
        threading.Thread(target=_answer, args=(connection, signer), daemon=True, name="ca-answer").start()


def _answer(connection: Connection, signer: Signer) -> None:
    """Answer the one question of a connection: "+" and the bytes, or "-" and nothing that tells why."""
    with connection:
        try:
            if not _is_own(connection) or not connection.poll(_DEADLINE_S):
                return
            question = wire.decode(connection.recv_bytes(wire.LONGEST_MESSAGE))
            connection.send_bytes(b"+" + _sign(question, signer))
        except (ProfileBroken, ValueError, KeyError) as refused:
            log.error("refused to sign: %s", refused)  # noqa: TRY400 - the trace says no more
            connection.send_bytes(b"-")
        except (EOFError, OSError) as gone:
            log.warning("a caller went away: %s", gone)


def _sign(question: wire.SignOrder | wire.SignCrl, signer: Signer) -> bytes:
    if isinstance(question, wire.SignOrder):
        return signer.sign(question.order)
    return signer.sign_crl(
        question.kind,
        question.entries,
        number=question.number,
        this_update=question.this_update,
        next_update=question.next_update,
    )


def _is_own(connection: Connection) -> bool:
    """Tell whether the caller runs as the same person as this process, by the kernel's word."""
    if not hasattr(socket, "SO_PEERCRED"):  # the socket's own permissions are what is left
        return True
    with socket.socket(fileno=os.dup(connection.fileno())) as peer:
        credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, _gid = struct.unpack("3i", credentials)
    return bool(uid == os.getuid())
