"""Where the time of one logon and of one issuance goes, by parts that can be acted on.

The parts of the use case are measured inside it: argon2, each SQL statement
with the driver's work, what waits for a commit to be flushed, and the CA.
What is left of it is Python of ours. The handshake and HTTP are measured from
outside, with one caller, and subtracted.
"""

from __future__ import annotations

import re
import statistics
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import event

from sekisho import wiring
from sekisho.bench import hello, issuing
from sekisho.bench.load import Load
from sekisho.domain.person import Kind
from sekisho.pki.csr import Csr
from sekisho.usecases.log_on import enter_pin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sekisho.bench.bank import BenchBank
    from sekisho.pki.profile import Order
    from sekisho.usecases.ports import Ports

_LOGONS = 100
_CROWD = 32
_BATCHES = 40
_SECONDS = 3.0


class _Clock:
    """Seconds by part, and how often each part came."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.times: dict[str, int] = defaultdict(int)

    @contextmanager
    def on(self, part: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(part, time.perf_counter() - start)

    def add(self, part: str, seconds: float) -> None:
        self.seconds[part] += seconds
        self.times[part] += 1


class _TimedPins:
    def __init__(self, pins: Any, clock: _Clock) -> None:
        self._pins = pins
        self._clock = clock

    def verify(self, verifier: str | None, entry: str) -> bool:
        with self._clock.on("argon2"):
            right: bool = self._pins.verify(verifier, entry)
        return right


class _TimedCa:
    def __init__(self, ca: Any, clock: _Clock) -> None:
        self._ca = ca
        self._clock = clock

    def sign_all(self, orders: Sequence[Order]) -> list[bytes | Exception]:
        with self._clock.on("CA: asked, checks, signs, answers"):
            signed: list[bytes | Exception] = self._ca.sign_all(orders)
        return signed


def of(bank: BenchBank) -> list[dict[str, Any]]:
    """Return the profile of a logon and of an issuance at a bank."""
    return [{**one, "certificates": bank.people} for one in (_logon(bank), _issuance(bank))]


def _logon(bank: BenchBank) -> dict[str, Any]:
    """One caller logs on again and again; medians from outside, means from inside."""
    caller = bank.users[0]
    settings = bank.settings
    certificate, key = settings.data_dir / settings.tls_certificate, settings.data_dir / settings.tls_key
    with Load() as load:
        with bank.serving(1):
            whole = statistics.median(load.run("log_on", [caller], _SECONDS).times)
        # The bank is not served now, so its own port is free.
        with hello.sites(certificate, key, [bank.authority], (caller.port, caller.port + 1, caller.port + 2)):
            handshake = statistics.median(load.run("handshake", [caller], _SECONDS / 2).times)
            answer = statistics.median(load.run("get", [caller], _SECONDS / 2).times)
    clock, inside = _use_case(bank)
    parts = [
        _part("TLS: connection and mutual handshake", handshake - answer),
        *_parts(clock, _LOGONS, ["argon2"]),
        _part("Python in the use case", inside - sum(clock.seconds.values()) / _LOGONS),
        _part("HTTP, the form's token, threads, the edge", whole - (handshake - answer) - inside),
    ]
    how = "One caller at a time, seen by the caller; a new connection, the PIN, the answer. Means of 100 inside it."
    return _told("One logon", bank.engine, whole, parts, how)


def _use_case(bank: BenchBank) -> tuple[_Clock, float]:
    certificate = bank.users[0].certificate
    assert certificate is not None  # noqa: S101 - every user has one
    der = x509.load_pem_x509_certificate(certificate.read_bytes()).public_bytes(Encoding.DER)
    clock = _Clock()
    with wiring.open_ports(bank.settings) as opened:
        ports = replace(opened, pins=_TimedPins(opened.pins, clock))  # type: ignore[arg-type]  # the part that is used
        owner = wiring.load_bank(bank.settings, ports)

        def once() -> None:
            pin = bank.users[0].pin
            enter_pin(ports, bank=owner, kind=Kind.USER, der=der, pin=pin, address="127.0.0.1")

        once()
        with _timed_statements(ports, clock):
            clock.seconds.clear()
            clock.times.clear()
            start = time.perf_counter()
            for _ in range(_LOGONS):
                once()
            return clock, (time.perf_counter() - start) / _LOGONS


def _issuance(bank: BenchBank) -> dict[str, Any]:
    """Callers in a crowd; what was done for all of them, for each certificate."""
    clock = _Clock()
    count = min(bank.people - 1, _CROWD * _BATCHES)
    people = list(range(1, count + 1))
    with bank.ca(), wiring.open_ports(bank.settings) as opened:
        ca = {code: _TimedCa(ca, clock) for code, ca in opened.cas.items()}
        ports: Ports = replace(opened, cas=ca)  # type: ignore[arg-type]  # the part that is used
        issuing.grant(ports, people)
        known = issuing.secrets_of(ports, people)
        waiting = [(one, known[one], Csr(issuing.new_spki())) for one in people]
        for one in waiting[:_CROWD]:
            issuing.issue(ports, *one)
        rest = iter(waiting[_CROWD:])
        with _timed_statements(ports, clock):
            clock.seconds.clear()
            clock.times.clear()
            start = time.perf_counter()
            _crowd(ports, rest)
            each = (time.perf_counter() - start) / (count - _CROWD)
    bank.tidy()
    parts = [
        *_parts(clock, count - _CROWD, ["CA: asked, checks, signs, answers"]),
        _part("Python, and threads that hand over", each - sum(clock.seconds.values()) / (count - _CROWD)),
    ]
    how = "32 callers in one process, below the PIN check: wall time for each certificate."
    return _told("One issuance in a crowd", bank.engine, each, parts, how)


def _crowd(ports: Ports, waiting: Iterator[Any]) -> None:
    lock = threading.Lock()

    def repeat() -> None:
        while True:
            with lock:
                one = next(waiting, None)
            if one is None:
                return
            issuing.issue(ports, *one)

    threads = [threading.Thread(target=repeat) for _ in range(_CROWD)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextmanager
def _timed_statements(ports: Ports, clock: _Clock) -> Iterator[None]:
    """Time each statement from its handing over to the driver to its answer, and each commit."""
    db: Any = ports.db
    began = threading.local()

    def before(*_: Any) -> None:
        began.at = time.perf_counter()

    def after(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        clock.add(_named(statement), time.perf_counter() - began.at)

    listened = [
        (engine, name, listener)
        for engine in (db.reading, db.writing)
        for name, listener in (("before_cursor_execute", before), ("after_cursor_execute", after))
    ]
    for one in listened:
        event.listen(*one)
    commits = {db.reading: "COMMIT of a reading", db.writing: "COMMIT, flushed"}
    for engine, part in commits.items():
        engine.dialect.do_commit = _timed(clock, part, engine.dialect.do_commit)
    try:
        yield
    finally:
        for one in listened:
            event.remove(*one)
        for engine in commits:
            del engine.dialect.do_commit


def _timed(clock: _Clock, part: str, plain: Callable[[Any], None]) -> Callable[[Any], None]:
    def timed(connection: Any) -> None:
        with clock.on(part):
            plain(connection)

    return timed


def _named(statement: str) -> str:
    """Return a statement as a line of a table: its verb and its table, or all that it inserts into."""
    text = re.sub(r"\s+", " ", statement).strip()
    if text.startswith("WITH "):
        return f"SQL: INSERT {' + '.join(re.findall(r'INSERT INTO ([a-z_]+)', text))}"
    verb = text.split(" ", 1)[0].upper()
    if verb == "SELECT" and (found := re.search(r" FROM ([a-z_]+)", text)):
        locks = " for update" if "FOR " in text else ""
        return f"SQL: SELECT {found[1]}{locks}"
    found = re.match(r"(?:INSERT INTO|UPDATE|DELETE FROM) ([a-z_]+)", text)
    return f"SQL: {verb} {found[1]}" if found else f"SQL: {verb}"


def _parts(clock: _Clock, count: int, first: Sequence[str]) -> list[dict[str, Any]]:
    names = sorted(clock.seconds, key=lambda name: (name not in first, -clock.seconds[name]))
    return [_part(name, clock.seconds[name] / count, clock.times[name] / count) for name in names]


def _part(name: str, seconds: float, times: float = 1.0) -> dict[str, Any]:
    return {"part": name, "ms": round(seconds * 1000, 4), "times": round(times, 3)}


def _told(name: str, engine: str, whole: float, parts: list[dict[str, Any]], how: str) -> dict[str, Any]:
    return {"name": name, "engine": engine, "ms": round(whole * 1000, 3), "how": how, "parts": parts}
