"""The load: callers in processes of their own, so that they share no interpreter with the server."""

from __future__ import annotations

import json
import multiprocessing
import re
import socket
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier
    from pathlib import Path

_PATIENCE_S = 30
_TOKEN = re.compile(rb'name="csrf" value="([0-9a-f]+)"')
_COOKIE = re.compile(rb"set-cookie: (__Host-[^;]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Caller:
    """One user with their certificate, at one site."""

    port: int
    tls_ca: Path
    certificate: Path
    key: Path
    pin: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one round of all callers did: how many a second, and each one's time in seconds."""

    rate: float
    times: list[float]

    def percentile(self, of: float) -> float:
        """Return the time that this part (0 to 1) of the requests stayed within."""
        ordered = sorted(self.times)
        return ordered[min(len(ordered) - 1, int(of * len(ordered)))]


class Connection:
    """A mutual-TLS connection made anew, and HTTP/1.1 in its plainest form over it."""

    def __init__(self, caller: Caller, context: ssl.SSLContext) -> None:
        plain = socket.create_connection(("127.0.0.1", caller.port), _PATIENCE_S)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._tls = context.wrap_socket(plain, server_hostname="localhost")

    def ask(self, method: str, path: str, headers: str = "", body: bytes = b"") -> tuple[bytes, bytes]:
        """Return the head and the body of the answer."""
        head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: {len(body)}\r\n\r\n"
        self._tls.sendall(head.encode() + body)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._read()
        answer, _, rest = data.partition(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", answer, re.IGNORECASE)[1])  # type: ignore[index]
        while len(rest) < length:
            rest += self._read()
        return answer, rest

    def close(self) -> None:
        """End it."""
        self._tls.close()

    def _read(self) -> bytes:
        data = self._tls.recv(65_536)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data


def context_of(caller: Caller) -> ssl.SSLContext:
    """Return a caller's TLS context."""
    context = ssl.create_default_context(cafile=str(caller.tls_ca))
    context.load_cert_chain(caller.certificate, caller.key)
    return context


def handshake(caller: Caller, context: ssl.SSLContext, _state: dict[str, str]) -> None:
    """Shake hands, and nothing else. In TLS 1.3 only an answer shows that the server had the last word."""
    connection = Connection(caller, context)
    connection.ask("GET", "/bare")
    connection.close()


def log_on(caller: Caller, context: ssl.SSLContext, state: dict[str, str]) -> None:
    """Log on over a new connection with a form that was fetched before."""
    if not state:
        state.update(_form(caller, context))
    connection = Connection(caller, context)
    _send_pin(connection, caller, state)
    connection.close()


def fetch_and_log_on(caller: Caller, context: ssl.SSLContext, state: dict[str, str]) -> None:
    """Do all that a browser does: a new connection, the form, the PIN, the status screen."""
    connection = Connection(caller, context)
    head, page = connection.ask("GET", "/")
    state.update(_read_form(head, page))
    cookie = _send_pin(connection, caller, state)
    answer, _ = connection.ask("GET", "/status", f"cookie: {cookie}\r\n")
    if b" 200 " not in answer[:20]:
        raise RuntimeError("the status screen did not come")
    connection.close()


def _form(caller: Caller, context: ssl.SSLContext) -> dict[str, str]:
    connection = Connection(caller, context)
    head, page = connection.ask("GET", "/")
    connection.close()
    return _read_form(head, page)


def _read_form(head: bytes, page: bytes) -> dict[str, str]:
    token, cookie = _TOKEN.search(page), _COOKIE.search(head)
    if token is None or cookie is None:
        raise RuntimeError("the form did not come")
    return {"csrf": token[1].decode(), "cookie": cookie[1].decode()}


def _send_pin(connection: Connection, caller: Caller, state: dict[str, str]) -> str:
    body = urlencode({"csrf": state["csrf"], "pin": caller.pin}).encode()
    headers = f"cookie: {state['cookie']}\r\ncontent-type: application/x-www-form-urlencoded\r\n"
    answer, _ = connection.ask("POST", "/", headers, body)
    if b"location: /status" not in answer:
        raise RuntimeError(f"not logged on: {answer[:200]!r}")
    return _COOKIE.search(answer)[1].decode()  # type: ignore[index]


ACTS = {"handshake": handshake, "log_on": log_on, "fetch_and_log_on": fetch_and_log_on}


def run(act: str, callers: list[Caller], seconds: float) -> Outcome:
    """Have every caller repeat an act for so long, each in a process of its own, and return what they did."""
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(len(callers) + 1)
    results = spawn.SimpleQueue()
    processes = [
        spawn.Process(target=_repeat, args=(act, caller, seconds, barrier, results), daemon=True) for caller in callers
    ]
    for process in processes:
        process.start()
    barrier.wait(_PATIENCE_S * 2)
    reports = [json.loads(results.get()) for _ in processes]
    for process in processes:
        process.join()
    failed = [report["failed"] for report in reports if report["failed"]]
    if failed:
        raise RuntimeError(f"a caller failed: {failed[0]}")
    times = [taken for report in reports for taken in report["times"]]
    return Outcome(sum(len(report["times"]) / report["seconds"] for report in reports), times)


def _repeat(
    act: str, caller: Caller, seconds: float, barrier: Barrier, results: multiprocessing.SimpleQueue[str]
) -> None:
    times: list[float] = []
    failed = None
    context = context_of(caller)
    state: dict[str, str] = {}
    ACTS[act](caller, context, state)
    barrier.wait(_PATIENCE_S * 2)
    start = time.perf_counter()
    try:
        while (began := time.perf_counter()) - start < seconds:
            ACTS[act](caller, context, state)
            times.append(time.perf_counter() - began)
    except (OSError, RuntimeError) as error:
        failed = repr(error)
    results.put(json.dumps({"times": times, "seconds": time.perf_counter() - start, "failed": failed}))
