"""The CA as a process: answers questions on a Unix socket until its parent goes away, or apart until it is stopped."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, BinaryIO

from sekisho.ca import answers, lists, peer, record, wire
from sekisho.ca.blocks import JournalBroken
from sekisho.ca.segments import JournalNotWritten
from sekisho.ca.token import TokenAway
from sekisho.ca.wire import Ask
from sekisho.domain.errors import CaAway, Refusal

if TYPE_CHECKING:
    from pathlib import Path

    from sekisho.ca.authority import Authority
    from sekisho.pki.ocsp import Answer
    from sekisho.pki.profile import Order

log = logging.getLogger("sekisho.ca")
# For a question that has begun and for taking an answer. How long a caller has nothing to ask is its own affair.
_DEADLINE_S = 10.0
# Before the next look where the machine has no room for another caller.
_PAUSE_S = 0.5
READY = b"ready\n"


def serve(authority: Authority, socket_file: Path, *, parent: BinaryIO = sys.stdin.buffer) -> None:
    """Answer until `parent` is closed, which happens when the process that started this one is gone.

    Prints `READY` once the socket answers. A stale socket is replaced.
    """
    _begin(authority, socket_file, frozenset())
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    parent.read()
    socket_file.unlink(missing_ok=True)
    # The threads may be in the middle of a signature; the sites ask again.
    os._exit(0)


def serve_apart(authority: Authority, socket_file: Path, allowed: frozenset[int]) -> None:
    """Answer this process's own user and those allowed until SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    listener = _begin(authority, socket_file, allowed)
    peer.notify_ready()
    log.info("the CA answers at %s", socket_file)
    stop.wait()
    socket_file.unlink(missing_ok=True)
    listener.close()


def _begin(authority: Authority, socket_file: Path, allowed: frozenset[int]) -> socket.socket:
    listener = listen(socket_file, shared=bool(allowed))
    args = (listener, authority, allowed | {os.getuid()})
    threading.Thread(target=accept, args=args, daemon=True, name="ca-accept").start()
    return listener


def listen(socket_file: Path, *, shared: bool = False) -> socket.socket:
    """Return a socket that listens there and that its owner alone may connect to, or its group as well."""
    socket_file.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o117 if shared else 0o177)
    try:
        listener.bind(str(socket_file))
    finally:
        os.umask(before)
    listener.listen(128)
    return listener


def accept(listener: socket.socket, authority: Authority, allowed: frozenset[int]) -> None:
    """Answer those allowed who connect, each in a thread of its own, until the listener is closed."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError as failed:
            if listener.fileno() < 0:
                return
            # No file is free, or no memory. Who waits is let in as soon as there is.
            log.error("nobody can be let in for now: %s", failed.strerror)  # noqa: TRY400 - the trace says no more
            time.sleep(_PAUSE_S)
            continue
        try:
            args = (connection, authority, allowed)
            threading.Thread(target=_answer, args=args, daemon=True, name="ca-answer").start()
        except RuntimeError:
            log.error("nobody can be answered for now: no thread can be started")  # noqa: TRY400 - the same
            connection.close()
            time.sleep(_PAUSE_S)


def _answer(connection: socket.socket, authority: Authority, allowed: frozenset[int]) -> None:
    """Answer every question of a connection until its caller closes it."""
    with connection:
        uid = peer.uid_of(connection)
        if uid not in allowed:
            log.error("somebody else than those allowed asked (user number %d); hung up", uid)
            return
        try:
            while True:
                message = wire.receive(connection, _DEADLINE_S, patiently=True)
                wire.send(connection, wire.answer(_results(message, authority)), _DEADLINE_S)
        except EOFError:
            return
        except (OSError, wire.Broken) as gone:
            log.warning("a caller went away: %r", gone)
        except JournalBroken as broken:
            log.critical("the journal does not hold, so nothing is handed out: %s", broken)
        except TokenAway as away:
            log.warning("nothing is signed while the token is away: %s", away)
        except (JournalNotWritten, Refusal) as full:
            # Who asks again gets what was signed once it stands in the journal.
            log.error("the journal could not be written, so nothing is handed out: %s", full)  # noqa: TRY400 - the trace says no more
            if authority.journal.broken:
                log.critical("the disk of the journal failed; only a new start can tell what it has")
                os._exit(1)


def _results(message: bytes, authority: Authority) -> list[bytes | None]:
    """Return what a question gets: for each thing asked its bytes, or None without a word that tells why."""
    ask, parts = wire.read_question(message)
    if ask is Ask.CRL:
        return [_sign_list(part, authority) for part in parts]
    if ask in _OF_THE_JOURNAL:
        return [_tell(ask, part, authority) for part in parts]
    if ask is Ask.ERASE:
        return [_erase(part, authority) for part in parts]
    if ask is Ask.ENDED:
        return _note_ended(parts, authority)
    if ask is Ask.OCSP:
        return _answer_about(parts, authority)
    return _sign_orders(parts, authority)


_OF_THE_JOURNAL = {Ask.RECORDS, Ask.RECORD, Ask.LATEST, Ask.VERIFY, Ask.ENDINGS}


def _erase(part: bytes, authority: Authority) -> bytes | None:
    """Erase a contract; None where the journal does not hold."""
    try:
        erased = authority.erase(*record.read_contract(part))
    except record.StillKept as kept:
        return record.write_erasure(erased=False, until=kept.until)
    except ValueError:
        log.error("refused to erase: no contract was named")  # noqa: TRY400 - the trace says no more
        return None
    except JournalBroken as broken:
        log.critical("the journal does not hold: %s", broken)
        return None
    if erased:
        log.info("a contract was erased from the journal")
    return record.write_erasure(erased=erased)


def _note_ended(parts: list[bytes], authority: Authority) -> list[bytes | None]:
    """Note ends in the journal, one that cannot be read excepted."""
    ended: list[record.EndedRecord | None] = []
    for part in parts:
        try:
            ended.append(record.read_ended(part))
        except ValueError as unreadable:
            log.error("refused to note an end: %s", unreadable)  # noqa: TRY400 - the trace says no more
            ended.append(None)
    authority.note_ended([one for one in ended if one is not None])
    return [None if one is None else b"+" for one in ended]


def _tell(ask: Ask, part: bytes, authority: Authority) -> bytes | None:
    """Return what the journal says; None where it does not hold."""
    try:
        if ask is Ask.LATEST:
            return record.write_latest(authority.latest())
        if ask is Ask.VERIFY:
            authority.journal.verify()
            return b"+"
        key = record.read_key(part)
        if ask is Ask.RECORDS:
            return record.write_rows(authority.records(key))
        if ask is Ask.ENDINGS:
            return record.write_endings(authority.endings(key))
        found = None if key is None else authority.record_of(*key)
        return record.write_rows([] if found is None else [found])
    except ValueError as unreadable:
        log.error("refused to tell: %s", unreadable)  # noqa: TRY400 - the trace says no more
    except JournalBroken as broken:
        log.critical("the journal does not hold: %s", broken)
    return None


def _sign_orders(parts: list[bytes], authority: Authority) -> list[bytes | None]:
    results: list[bytes | None] = [None] * len(parts)
    orders: dict[int, Order] = {}
    for at, part in enumerate(parts):
        try:
            orders[at] = wire.read_order(part)
        except ValueError as unreadable:
            log.error("refused to sign: %s", unreadable)  # noqa: TRY400 - the trace says no more
    for at, outcome in zip(orders, authority.sign_all(list(orders.values())), strict=True):
        if isinstance(outcome, CaAway):
            results[at] = wire.WAITS
        elif isinstance(outcome, Exception):
            log.error("refused to sign serial %x: %r", orders[at].serial, outcome)
        else:
            results[at] = outcome
    return results


def _sign_list(part: bytes, authority: Authority) -> bytes | None:
    try:
        asked = lists.read(part)
        return authority.sign_crl(
            asked.kind,
            asked.shard,
            asked.entries,
            number=asked.number,
            this_update=asked.this_update,
            next_update=asked.next_update,
            generation=asked.generation,
        )
    except ValueError as refused:
        log.error("refused to sign a revocation list: %s", refused)  # noqa: TRY400 - the trace says no more
        return None


def _answer_about(parts: list[bytes], authority: Authority) -> list[bytes | None]:
    results: list[bytes | None] = [None] * len(parts)
    asked: dict[int, Answer] = {}
    for at, part in enumerate(parts):
        try:
            asked[at] = answers.read(part)
        except ValueError as unreadable:
            log.error("refused to answer: %s", unreadable)  # noqa: TRY400 - the trace says no more
    for at, outcome in zip(asked, authority.answer_all(list(asked.values())), strict=True):
        if isinstance(outcome, Exception):
            log.error("refused to answer about serial %x: %r", asked[at].serial, outcome)
        else:
            results[at] = outcome
    return results
