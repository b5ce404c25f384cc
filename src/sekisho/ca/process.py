"""The CA as a process: answers questions on a Unix socket until its parent goes away."""

from __future__ import annotations

import logging
import os
import socket
import struct
import sys
import threading
from typing import TYPE_CHECKING, BinaryIO

from sekisho.ca import answers, lists, wire
from sekisho.ca.wire import Ask

if TYPE_CHECKING:
    from pathlib import Path

    from sekisho.ca.signer import Signer
    from sekisho.pki.ocsp import Answer
    from sekisho.pki.profile import Order

log = logging.getLogger("sekisho.ca")
# For a question that has begun and for taking an answer. How long a caller has nothing to ask is its own affair.
_DEADLINE_S = 10.0
READY = b"ready\n"


def serve(signer: Signer, socket_file: Path, *, parent: BinaryIO = sys.stdin.buffer) -> None:
    """Answer until `parent` is closed, which happens when the process that started this one is gone.

    Prints `READY` once the socket answers. A stale socket is replaced.
    """
    listener = listen(socket_file)
    threading.Thread(target=accept, args=(listener, signer), daemon=True, name="ca-accept").start()
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    parent.read()
    socket_file.unlink(missing_ok=True)
    # The threads may be in the middle of a signature; the sites ask again.
    os._exit(0)


def listen(socket_file: Path) -> socket.socket:
    """Return a socket that listens there and that its owner alone may connect to."""
    socket_file.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o077)
    try:
        listener.bind(str(socket_file))
    finally:
        os.umask(before)
    listener.listen(128)
    return listener


def accept(listener: socket.socket, signer: Signer) -> None:
    """Answer whoever connects, each in a thread of its own, until the listener is closed."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_answer, args=(connection, signer), daemon=True, name="ca-answer").start()


def _answer(connection: socket.socket, signer: Signer) -> None:
    """Answer every question of a connection until its caller closes it."""
    with connection:
        if not _is_own(connection):
            log.error("somebody else than this process's own user asked; hung up")
            return
        try:
            while True:
                message = wire.receive(connection, _DEADLINE_S, patiently=True)
                wire.send(connection, wire.answer(_results(message, signer)), _DEADLINE_S)
        except EOFError:
            return
        except (OSError, wire.Broken) as gone:
            log.warning("a caller went away: %r", gone)


def _results(message: bytes, signer: Signer) -> list[bytes | None]:
    """Return what a question gets: for each thing asked its bytes, or None without a word that tells why."""
    ask, parts = wire.read_question(message)
    if ask is Ask.CRL:
        return [_sign_list(part, signer) for part in parts]
    if ask is Ask.OCSP:
        return _answer_about(parts, signer)
    return _sign_orders(parts, signer)


def _sign_orders(parts: list[bytes], signer: Signer) -> list[bytes | None]:
    results: list[bytes | None] = [None] * len(parts)
    orders: dict[int, Order] = {}
    for at, part in enumerate(parts):
        try:
            orders[at] = wire.read_order(part)
        except ValueError as unreadable:
            log.error("refused to sign: %s", unreadable)  # noqa: TRY400 - the trace says no more
    for at, outcome in zip(orders, signer.sign_all(list(orders.values())), strict=True):
        if isinstance(outcome, Exception):
            log.error("refused to sign serial %x: %r", orders[at].serial, outcome)
        else:
            results[at] = outcome
    return results


def _sign_list(part: bytes, signer: Signer) -> bytes | None:
    try:
        asked = lists.read(part)
        return signer.sign_crl(
            asked.kind,
            asked.shard,
            asked.entries,
            number=asked.number,
            this_update=asked.this_update,
            next_update=asked.next_update,
        )
    except ValueError as refused:
        log.error("refused to sign a revocation list: %s", refused)  # noqa: TRY400 - the trace says no more
        return None


def _answer_about(parts: list[bytes], signer: Signer) -> list[bytes | None]:
    results: list[bytes | None] = [None] * len(parts)
    asked: dict[int, Answer] = {}
    for at, part in enumerate(parts):
        try:
            asked[at] = answers.read(part)
        except ValueError as unreadable:
            log.error("refused to answer: %s", unreadable)  # noqa: TRY400 - the trace says no more
    for at, outcome in zip(asked, signer.answer_all(list(asked.values())), strict=True):
        if isinstance(outcome, Exception):
            log.error("refused to answer about serial %x: %r", asked[at].serial, outcome)
        else:
            results[at] = outcome
    return results


def _is_own(connection: socket.socket) -> bool:
    """Tell whether the caller runs as the same person as this process, by the kernel's word."""
    if not hasattr(socket, "SO_PEERCRED"):  # the socket's own permissions are what is left
        return True
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, _gid = struct.unpack("3i", credentials)
    return bool(uid == os.getuid())
