"""The load: callers that share no interpreter with the server, in processes that stay for the whole bench.

Each process has several callers, each in a thread that does nothing but wait
for a socket. What the processes themselves take of the machine is counted,
since on a small one the load may be what limits.
"""

from __future__ import annotations

import multiprocessing
import re
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection as Pipe
    from pathlib import Path

_PROCESSES = 2
_PATIENCE_S = 30.0
_TOKEN = re.compile(rb'name="csrf" value="([0-9a-f]+)"')
_COOKIE = re.compile(rb"set-cookie: (__Host-[^;]+)", re.IGNORECASE)
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Caller:
    """One person: where they call from and at which port, and with which certificate, if any.

    `bodies` are requests prepared for an act that sends each of them once,
    as headers and body, and `holders` the certificate and key with which each
    is sent where they differ; `requests` those of one that says more: method
    and path, headers and body.
    """

    port: int
    address: str
    tls_ca: Path
    certificate: Path | None = None
    key: Path | None = None
    pin: str = ""
    path: str = "/"
    bodies: Sequence[tuple[str, bytes]] = ()
    holders: Sequence[tuple[Path, Path]] = ()
    requests: Sequence[tuple[str, str, bytes]] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one round of all callers did.

    `rate` is how many a second, `times` each one's seconds in order, `cores`
    how many cores the load makers kept busy, `busiest` the part of its time
    for which the busiest of them was.
    """

    rate: float
    times: list[float]
    cores: float = 0.0
    busiest: float = 0.0

    def percentile(self, of: float) -> float:
        """Return the time in seconds that this part (0 to 1) of the requests stayed within."""
        return self.times[min(len(self.times) - 1, int(of * len(self.times)))]


class LoadFailed(Exception):  # noqa: N818 - names what happened
    """A caller met what should not be, so the round measures nothing."""


class Load:
    """The load makers: `with Load() as load: load.run(...)`."""

    def __enter__(self) -> Self:
        spawn = multiprocessing.get_context("spawn")
        self._pipes: list[Pipe] = []
        self._processes = []
        for _ in range(_PROCESSES):
            mine, theirs = spawn.Pipe()
            process = spawn.Process(target=_be_load_maker, args=(theirs,), daemon=True, name="load")
            process.start()
            theirs.close()
            self._pipes.append(mine)
            self._processes.append(process)
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(_PATIENCE_S)
            if process.is_alive():
                process.kill()

    def run(
        self, act: str, callers: Sequence[Caller], seconds: float, *, during: Callable[[], None] = lambda: None
    ) -> Outcome:
        """Have every caller repeat an act for so long; `during` is called halfway. Raises `LoadFailed`."""
        used = [
            (pipe, share) for at, pipe in enumerate(self._pipes) if (share := list(callers[at :: len(self._pipes)]))
        ]
        for pipe, share in used:
            pipe.send((act, share, seconds))
        for pipe, _ in used:
            self._told(pipe, 2 * _PATIENCE_S)
        for pipe, _ in used:
            pipe.send("go")
        time.sleep(seconds / 2)
        during()
        reports = [self._told(pipe, seconds + 2 * _PATIENCE_S) for pipe, _ in used]
        times = sorted(taken for report in reports for taken in report["times"])
        if not times:
            raise LoadFailed(f"nobody came to an end with {act}")
        busy = [report["cpu"] / report["seconds"] for report in reports]
        return Outcome(sum(report["rate"] for report in reports), times, sum(busy), max(busy))

    @staticmethod
    def _told(pipe: Pipe, patience_s: float) -> dict[str, Any]:
        if not pipe.poll(patience_s):
            raise LoadFailed("a load maker says nothing")
        report: dict[str, Any] = pipe.recv()
        if report.get("failed"):
            raise LoadFailed(report["failed"])
        return report


def _be_load_maker(pipe: Pipe) -> None:
    """Do what the pipe says until it is closed."""
    while True:
        try:
            act, callers, seconds = pipe.recv()
        except EOFError:
            return
        try:
            ready = [_ACTS[act](caller) for caller in callers]
            for once in ready:
                once()
            pipe.send({})
            pipe.recv()
            pipe.send(_repeat(ready, seconds))
        except (OSError, EOFError, LoadFailed, _NothingLeft) as failed:
            pipe.send({"failed": f"{act}: {failed!r}"})


def _repeat(ready: Sequence[Callable[[], None]], seconds: float) -> dict[str, Any]:
    """Have each caller repeat, in a thread of its own, and return what all of them did."""
    times: list[float] = []
    rates: list[float] = []
    failed: list[str] = []
    start, cpu = time.perf_counter(), time.process_time()

    def repeat(once: Callable[[], None]) -> None:
        mine: list[float] = []
        before = time.perf_counter()
        try:
            while before - start < seconds:
                once()
                now = time.perf_counter()
                mine.append(now - before)
                before = now
        except _NothingLeft:
            pass  # it was faster than was prepared for
        except (OSError, LoadFailed) as failure:
            failed.append(repr(failure))
        times.extend(mine)
        rates.append(len(mine) / (before - start) if mine else 0.0)

    threads = [threading.Thread(target=repeat, args=(once,)) for once in ready]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {
        "times": times,
        "rate": sum(rates),
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time() - cpu,
        "failed": failed[0] if failed else None,
    }


class _NothingLeft(Exception):  # noqa: N818 - names what happened
    """A caller has sent all that was prepared for it."""


class _Connection:
    """A connection made anew, with TLS where there is a context, and HTTP/1.1 in its plainest form over it."""

    def __init__(self, caller: Caller, context: ssl.SSLContext | None) -> None:
        plain = socket.create_connection(("127.0.0.1", caller.port), _PATIENCE_S, (caller.address, 0))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = plain if context is None else context.wrap_socket(plain, server_hostname="localhost")

    def ask(self, message: bytes) -> bytes:
        """Return the whole answer, head and body."""
        self._socket.sendall(message)
        data = self._socket.recv(65_536)
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._read()
        length = _LENGTH.search(data, 0, end + 2)
        whole = end + 4 + (int(length[1]) if length else 0)
        while len(data) < whole:
            data += self._read()
        return data

    def close(self) -> None:
        """End it."""
        self._socket.close()

    def _read(self) -> bytes:
        data = self._socket.recv(65_536)
        if not data:
            raise LoadFailed("the server closed the connection")
        return data


def _context(caller: Caller, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """Return what makes connections with the caller's own certificate, or with the one that is given."""
    context = ssl.create_default_context(cafile=str(caller.tls_ca))
    if (shown := certificate or caller.certificate) is not None:
        context.load_cert_chain(shown, key or caller.key)
    return context


def _message(method: str, path: str, headers: str = "", body: bytes = b"", version: str = "1.1") -> bytes:
    length = f"content-length: {len(body)}\r\n" if method == "POST" else ""
    return f"{method} {path} HTTP/{version}\r\nhost: localhost\r\n{headers}{length}\r\n".encode() + body


def _handshake(caller: Caller) -> Callable[[], None]:
    """Shake hands, and nothing else. In TLS 1.3 only an answer shows that the server had the last word."""
    context, message = _context(caller), _message("GET", "/")

    def once() -> None:
        connection = _Connection(caller, context)
        connection.ask(message)
        connection.close()

    return once


def _get(caller: Caller) -> Callable[[], None]:
    """Ask for one page again and again over one connection."""
    connection, message = _Connection(caller, _context(caller)), _message("GET", caller.path)

    def once() -> None:
        _expect(connection.ask(message), b" 200 ")

    return once


def _get_plain(caller: Caller) -> Callable[[], None]:
    """Ask for one page again and again over one connection without TLS."""
    connection, message = _Connection(caller, None), _message("GET", caller.path)

    def once() -> None:
        _expect(connection.ask(message), b" 200 ")

    return once


def _ask(caller: Caller) -> Callable[[], None]:
    """Ask prepared questions again and again over one connection without TLS."""
    connection = _Connection(caller, None)
    messages = cycle([_request(*one) for one in caller.requests])

    def once() -> None:
        _expect_answer(connection.ask(next(messages)))

    return once


def _ask_anew(caller: Caller) -> Callable[[], None]:
    """Ask prepared questions again and again, each over a connection of its own, which HTTP/1.0 is made for."""
    messages = cycle([_request(*one, version="1.0") for one in caller.requests])

    def once() -> None:
        connection = _Connection(caller, None)
        _expect_answer(connection.ask(next(messages)))
        connection.close()

    return once


def _ask_each_once(caller: Caller) -> Callable[[], None]:
    """Ask prepared questions, each once, over one connection without TLS."""
    connection = _Connection(caller, None)
    waiting = iter([_request(*one) for one in caller.requests])

    def once() -> None:
        message = next(waiting, None)
        if message is None:
            raise _NothingLeft
        _expect_answer(connection.ask(message))

    return once


def _request(method_and_path: str, headers: str, body: bytes, version: str = "1.1") -> bytes:
    method, path = method_and_path.split(" ", 1)
    return _message(method, path, headers, body, version)


def _expect_answer(answer: bytes) -> None:
    """Expect an OCSP answer that somebody signed: its status, successful, stands before all else (RFC 6960)."""
    _expect(answer, b" 200 ")
    _, _, body = answer.partition(b"\r\n\r\n")
    if b"\x0a\x01\x00" not in body[:10]:
        raise LoadFailed(f"not what was expected: {answer[:300]!r}")


def _log_on(caller: Caller) -> Callable[[], None]:
    """Log on over a new connection with a form that was fetched before."""
    context = _context(caller)
    message = _logon(caller, context)

    def once() -> None:
        connection = _Connection(caller, context)
        _expect(connection.ask(message), b"location: /status")
        connection.close()

    return once


def _status(caller: Caller) -> Callable[[], None]:
    """Log on once, and ask for the status screen again and again over one connection."""
    context = _context(caller)
    connection = _Connection(caller, context)
    session = _cookies(connection.ask(_logon(caller, context)))
    message = _message("GET", "/status", f"cookie: {session}\r\n")

    def once() -> None:
        _expect(connection.ask(message), b" 200 ")

    return once


def _enroll(caller: Caller) -> Callable[[], None]:
    """Send prepared requests, each over a new connection, and with its holder's certificate where it has one."""
    messages = [_message("POST", caller.path, headers, body) for headers, body in caller.bodies]
    contexts = [_context(caller, *one) for one in caller.holders] or [_context(caller)] * len(messages)
    waiting = zip(messages, contexts, strict=True)

    def once() -> None:
        following = next(waiting, None)
        if following is None:
            raise _NothingLeft
        message, context = following
        connection = _Connection(caller, context)
        _expect(connection.ask(message), b" 200 ")
        connection.close()

    return once


def _logon(caller: Caller, context: ssl.SSLContext) -> bytes:
    """Fetch the form, and return the request that sends the PIN."""
    connection = _Connection(caller, context)
    page = connection.ask(_message("GET", "/"))
    connection.close()
    token = _TOKEN.search(page)
    if token is None:
        raise LoadFailed(f"the form did not come: {page[:200]!r}")
    body = urlencode({"csrf": token[1].decode(), "pin": caller.pin}).encode()
    headers = f"cookie: {_cookies(page)}\r\ncontent-type: application/x-www-form-urlencoded\r\n"
    return _message("POST", "/", headers, body)


def _cookies(answer: bytes) -> str:
    return "; ".join(cookie.decode() for cookie in _COOKIE.findall(answer))


def _expect(answer: bytes, words: bytes) -> None:
    if words not in answer[:1000]:
        raise LoadFailed(f"not what was expected: {answer[:300]!r}")


_ACTS: dict[str, Callable[[Caller], Callable[[], None]]] = {
    "handshake": _handshake,
    "get": _get,
    "get_plain": _get_plain,
    "ask": _ask,
    "ask_anew": _ask_anew,
    "ask_each_once": _ask_each_once,
    "log_on": _log_on,
    "status": _status,
    "enroll": _enroll,
}
