"""The rounds: every measure between two looks at its limit, and all of them again in the next round.

What disturbs a shared machine disturbs both sides of a pair. A ratio is the
median of what the rounds showed, each from one pair.
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sekisho.bench import hello, limits, lists, machine, pages, profile, validation
from sekisho.bench.bank import BANK, PIN, PORTS, BenchBank, free_ports
from sekisho.bench.cluster import Cluster
from sekisho.bench.load import Load
from sekisho.vault.pins import PinHasher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sekisho.bench.bank import Served
    from sekisho.bench.load import Caller, Outcome

ENGINES = ("postgresql", "sqlite")
WORKERS = (1, 2)
_LOOK_S = 1.0
_FEWEST = 500
_CROWD = 32
_FEW, _MANY = 8, 64
_KEPT = 4  # callers on connections that stay: as many as keep one process busy
_FEWEST_RENEWALS = 4 * _FEW  # in one measurement; each caller renews once before it counts
_RENEWALS = 350  # the same without that price; each is another person's
_ASKED = 50  # about so many certificates again and again
_FIRST_QUESTIONS = 4_000  # a second, of all callers: each is about another certificate
_PEER = "openssl ocsp"
_PLAIN = "plain ASGI hello"
_ENROLLMENTS = 150  # a second, of all callers: more than any machine's argon2 allows for the price of two checks
# Big enough that no checkpoint falls into one measure and not into the next; all else is PostgreSQL's default.
_POSTGRESQL = {
    "shared_buffers": "1GB",
    "max_wal_size": "16GB",
    "checkpoint_timeout": "30min",
    "synchronous_commit": "on",
    "autovacuum": "off",
}

# What each measure has to reach of its limit.
GOALS = {
    "issuance": 0.30,
    "issuance in a token": 0.40,
    "logon": 0.85,
    "EST enrollment": 0.80,
    "EST renewal": 0.50,
    "status page": 0.05,
    "OCSP, POST": 0.8,
    "OCSP, GET": 0.8,
    "OCSP, each signed": 0.15,
    "OCSP, new connections": 1.0,
}
GOAL_OF_SIZES = round(1 / 1.2, 3)


@dataclass(frozen=True, slots=True)
class Measure:
    """One line: what was measured against which limit, at which size, by how many processes and callers."""

    name: str
    limit: str
    engine: str
    certificates: int
    processes: int
    callers: int
    # How many of the limit's units one of these takes.
    units: int = 1


@dataclass(slots=True)
class _Seen:
    """What the rounds showed of one measure: pairs of (measured, limit), all times, and what the load took."""

    pairs: list[tuple[float, float]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    cores: list[float] = field(default_factory=list)
    busiest: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure: how often, how long each time, on which databases and at which sizes."""

    rounds: int
    seconds: float
    engines: Sequence[str]
    certificates: Sequence[int]
    lists: Sequence[int]
    profile: bool = False


def read_engines(text: str) -> list[str]:
    """Return the databases that a list separated by commas names. Raises `BadParameter`."""
    named = text.split(",")
    if wrong := [name for name in named if name not in ENGINES]:
        raise click.BadParameter(f"{wrong[0]!r} is none of {', '.join(ENGINES)}", param_hint="--engines")
    return named


def read_sizes(text: str, rounds: int) -> list[int]:
    """Return the sizes that a list separated by commas names, the smallest first.

    Raises `BadParameter`, also where the smallest has too few users for so many rounds.
    """
    try:
        sizes = sorted({int(size) for size in text.split(",")})
    except ValueError:
        raise click.BadParameter(f"{text!r} is no list of numbers", param_hint="--certificates") from None
    # Of five people one is an administrator; and nobody renews twice.
    needed = max(_FEWEST, (_MANY + _FEWEST_RENEWALS * rounds * len(WORKERS)) * 5 // 4)
    if sizes[0] < needed:
        raise click.BadParameter(f"{rounds} rounds need {needed} certificates or more", param_hint="--certificates")
    return sizes


def read_entries(text: str) -> list[int]:
    """Return the sizes of revocation lists that a list separated by commas names. Raises `BadParameter`."""
    try:
        return sorted({int(size) for size in text.split(",") if size})
    except ValueError:
        raise click.BadParameter(f"{text!r} is no list of numbers", param_hint="--lists") from None


def run(plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure, one database after the other, and return machine, limits, lines, sizes and memory."""
    others: list[float] = []
    profiles: list[dict[str, Any]] = []
    # Whoever ends it early finds nothing left behind either.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with ExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="sekisho-bench-")))
        load = closing.enter_context(Load())
        rounds = _Rounds(plan, folder, load)
        for engine in plan.engines:
            base = free_ports(PORTS * (1 + len(plan.certificates)))
            with _banks(folder, engine, plan, base + PORTS, say) as banks:
                ca_dir = banks[0].settings.ca_dir
                with _hello(banks[0], base) as ports, validation.openssl(folder, ca_dir, base + len(ports)) as peer:
                    for number in range(1, plan.rounds + 1):
                        say(f"{engine}, round {number} of {plan.rounds}")
                        others.append(machine.busy(_LOOK_S))
                        rounds.take(banks, ports, peer)
                if plan.profile:
                    profiles += [one for bank in banks for one in profile.of(bank)]
    made = lists.measure(BANK, free_ports(PORTS), plan.lists, say) if plan.rounds else []
    return {
        "machine": machine.description(plan.engines),
        "others": [round(share, 2) for share in others],
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        **rounds.result(),
        "lists": made,
        **({"profile": profiles} if profiles else {}),
    }


@contextmanager
def _banks(folder: Path, engine: str, plan: Plan, base: int, say: Callable[[str], None]) -> Iterator[list[BenchBank]]:
    """Set up a bank of each size on one database server or in files, and take all of it away after the block."""
    banks = []
    with ExitStack() as closing:
        cluster = None
        if engine == "postgresql":
            cluster = Cluster(flushes=True, settings=_POSTGRESQL)
            closing.callback(cluster.remove)
        for people in plan.certificates:
            url = None if cluster is None else cluster.url(cluster.new_database())
            bank = BenchBank(folder / f"{engine}-{people}", engine, people, url, base)
            closing.callback(shutil.rmtree, bank.folder, ignore_errors=True)
            bank.set_up(_MANY, int(_RENEWALS * plan.seconds) + 2 * _FEW, max(1, plan.rounds) * len(WORKERS), say)
            closing.callback(shutil.rmtree, bank.settings.run_dir, ignore_errors=True)
            banks.append(bank)
            base += PORTS
        yield banks


@contextmanager
def _hello(bank: BenchBank, base: int) -> Iterator[tuple[int, int, int]]:
    settings = bank.settings
    certificate, key = settings.data_dir / settings.tls_certificate, settings.data_dir / settings.tls_key
    with hello.sites(certificate, key, [bank.authority], (base, base + 1, base + 2)) as ports:
        yield ports


class _Rounds:
    """What was measured so far."""

    def __init__(self, plan: Plan, folder: Path, load: Load) -> None:
        self._plan = plan
        self._folder = folder
        self._load = load
        self._fastapi: list[Caller] = []
        # What issues with keys in files at the bank that is measured, for so many seconds.
        self._software: Callable[[float], Outcome] | None = None
        self._asgi: list[Caller] = []
        self._plain: list[Caller] = []
        self._peer: list[Caller] = []
        self._pins = PinHasher(os.urandom(32))
        self._verifier = self._pins.hash(PIN)
        self._sign = limits.build_and_sign()
        self._limits: dict[str, list[float]] = defaultdict(list)
        self._limit_load: dict[str, list[Outcome]] = defaultdict(list)
        self._seen: dict[Measure, _Seen] = defaultdict(_Seen)
        self._pages = pages.Pages()
        self._memory: dict[tuple[str, int, int, str], dict[str, list[dict[str, float]]]] = {}

    def take(self, banks: Sequence[BenchBank], hello_ports: tuple[int, int, int], peer_port: int) -> None:
        """Measure each thing once.

        Hello is said at these ports in raw ASGI, by FastAPI, and in raw ASGI
        without TLS; OpenSSL answers about certificates at `peer_port`.
        """
        asgi, fastapi, plain = ([replace(one, port=port) for one in banks[0].users] for port in hello_ports)
        self._fastapi, self._plain, self._asgi = fastapi[:_KEPT], plain[:_KEPT], asgi[:_FEW]
        asked = validation.questions(banks[0].settings.ca_dir, banks[0].people, _ASKED)
        requests = [validation.posted(one) for one in asked]
        self._peer = [replace(one, port=peer_port, requests=requests) for one in banks[0].users[:_KEPT]]
        seconds = self._plan.seconds
        self._limits["flushes"].append(limits.flush_rate(self._folder, seconds / 2))
        outcome = self._load.run("get", asgi[:_KEPT], seconds)
        self._limits["raw ASGI hello"].append(outcome.rate)
        self._limit_load["raw ASGI hello"].append(outcome)
        for bank in banks:
            self._bank(bank)

    def _bank(self, bank: BenchBank) -> None:
        """Measure everything at one bank."""
        for processes in WORKERS if bank.engine == "postgresql" else (1,):
            line = Measure("issuance", "build and sign", bank.engine, bank.people, processes, _CROWD)
            self._pair(line, partial(bank.issue, processes, _CROWD, self._plan.seconds))
        if bank.in_token is not None:
            self._software = partial(bank.issue, 1, _CROWD)
            line = Measure("issuance in a token", "software issuance", bank.engine, bank.people, 1, _CROWD)
            self._pair(line, partial(bank.issue, 1, _CROWD, self._plan.seconds, in_token=True))
        for workers in WORKERS:
            with bank.serving(workers) as served:
                self._served(bank, served, workers)
            bank.tidy()

    def _served(self, bank: BenchBank, served: Served, workers: int) -> None:
        seconds = self._plan.seconds
        machine.settle([pid for pids in served.processes().values() for pid in pids])
        self._weigh(bank, served, workers, "at rest")
        if workers == 1:
            self._pages.take(bank, self._fastapi[0], datetime.now(UTC))

        def line(name: str, limit: str, callers: int, units: int = 1) -> Measure:
            return Measure(name, limit, bank.engine, bank.people, workers, callers, units)

        for callers in (_FEW, _MANY):
            weigh = partial(self._weigh, bank, served, workers, "under load")
            log_on = partial(self._load.run, "log_on", bank.users[:callers], seconds, during=weigh)
            self._pair(line("logon", "argon2", callers), log_on)
        people = bank.enrolling(_FEW, int(_ENROLLMENTS * seconds / _FEW) + 2)
        # Two PINs are checked, so one enrollment takes two of the limit's checks.
        self._pair(line("EST enrollment", "argon2", _FEW, 2), lambda: self._load.run("enroll", people, seconds))
        bank.tidy()
        holders = bank.renewing(_FEW)
        renew = partial(self._load.run, "enroll", holders, seconds)
        self._pair(line("EST renewal", "mutual-TLS handshake", _FEW), renew)
        bank.tidy()
        users = bank.users[:_KEPT]
        self._validation(bank, line)
        self._pair(line("status page", "FastAPI hello", _KEPT), lambda: self._load.run("status", users, seconds))

    def _validation(self, bank: BenchBank, line: Callable[[str, str, int], Measure]) -> None:
        """Measure answers about certificates: each for the first time, and then a few again and again."""
        ca_dir, port = bank.settings.ca_dir, bank.settings.sites["pki"].port
        callers = [replace(one, port=port) for one in bank.users[:_MANY]]
        first = validation.questions(ca_dir, bank.people, int(_FIRST_QUESTIONS * self._plan.seconds))
        each = [
            replace(one, requests=[validation.posted(question) for question in first[at::_CROWD]])
            for at, one in enumerate(callers[:_CROWD])
        ]
        again = validation.questions(ca_dir, bank.people, _ASKED)
        posts, gets = (
            [replace(one, requests=[way(question) for question in again]) for one in callers[:_KEPT]]
            for way in (validation.posted, validation.got)
        )
        for name, limit, act, asking in (
            ("OCSP, each signed", _PLAIN, "ask_each_once", each),
            ("OCSP, POST", _PLAIN, "ask", posts),
            ("OCSP, GET", _PLAIN, "ask", gets),
            ("OCSP, new connections", _PEER, "ask_anew", posts),
        ):
            run = partial(self._load.run, act, asking, self._plan.seconds)
            self._pair(line(name, limit, len(asking)), run)

    def _pair(self, line: Measure, measure: Callable[[], Outcome]) -> None:
        before = self._limit(line.limit)
        outcome = measure()
        limit = (before + self._limit(line.limit)) / 2
        self._limits[line.limit].append(limit)
        seen = self._seen[line]
        seen.pairs.append((outcome.rate, limit))
        seen.times += outcome.times
        seen.cores.append(outcome.cores)
        seen.busiest.append(outcome.busiest)

    def _limit(self, name: str) -> float:
        """Measure a limit for half as long: it is measured before and after."""
        seconds = self._plan.seconds / 2
        if name == "argon2":
            return limits.argon2_rate(self._pins, self._verifier, PIN, seconds)
        if name == "build and sign":
            return limits.repeated(self._sign, seconds)
        if name == "software issuance" and self._software is not None:
            return self._software(seconds).rate
        act, callers = {
            _PLAIN: ("get_plain", self._plain),
            _PEER: ("ask_anew", self._peer),
            "FastAPI hello": ("get", self._fastapi),
            "mutual-TLS handshake": ("handshake", self._asgi),
        }[name]
        outcome = self._load.run(act, callers, seconds)
        self._limit_load[name].append(outcome)
        return outcome.rate

    def _weigh(self, bank: BenchBank, served: Served, workers: int, when: str) -> None:
        key = (bank.engine, bank.people, workers, when)
        self._memory[key] = {what: machine.memory(pids) for what, pids in served.processes().items() if pids}

    def result(self) -> dict[str, Any]:
        """Return what came of it, as JSON."""
        return {
            "limits": [
                {"limit": name, "rate": round(statistics.median(rates), 1), **_load_of(self._limit_load.get(name, []))}
                for name, rates in self._limits.items()
            ],
            "lines": [_line(measure, seen) for measure, seen in self._seen.items()],
            "sizes": _sizes(self._seen),
            "pages": self._pages.result(),
            "memory": [
                {"engine": engine, "certificates": people, "workers": workers, "when": when, "processes": weighed}
                for (engine, people, workers, when), weighed in self._memory.items()
            ],
        }


def _load_of(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    if not outcomes:
        return {}
    return {
        "load_cores": round(statistics.median(one.cores for one in outcomes), 2),
        "load_may_limit": statistics.median(one.busiest for one in outcomes) > machine.BUSY,
    }


def _line(line: Measure, seen: _Seen) -> dict[str, Any]:
    times = sorted(seen.times)
    ratios = [measured * line.units / limit for measured, limit in seen.pairs]
    return {
        "measure": line.name,
        "engine": line.engine,
        "certificates": line.certificates,
        "processes": line.processes,
        "callers": line.callers,
        "limit": line.limit,
        "units": line.units,
        "rate": round(statistics.median(measured for measured, _ in seen.pairs), 1),
        "limit_rate": round(statistics.median(limit for _, limit in seen.pairs), 1),
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "goal": GOALS[line.name],
        "p50_ms": round(times[len(times) // 2] * 1000, 2),
        "p99_ms": round(times[min(len(times) - 1, int(len(times) * 0.99))] * 1000, 2),
        "load_cores": round(statistics.median(seen.cores), 2),
        "load_may_limit": statistics.median(seen.busiest) > machine.BUSY,
    }


def _sizes(seen: dict[Measure, _Seen]) -> list[dict[str, Any]]:
    """Return how each measure does at the largest size for each of the smallest, from the ratios to the limits."""
    sizes = sorted({line.certificates for line in seen})
    if len(sizes) < 2:  # noqa: PLR2004 - one against another
        return []
    small, large = sizes[0], sizes[-1]
    found = []
    for line, of_small in seen.items():
        of_large = seen.get(replace(line, certificates=large))
        if line.certificates != small or of_large is None:
            continue
        pairs = zip(of_small.pairs, of_large.pairs, strict=True)
        ratio = statistics.median((b / b_limit) / (a / a_limit) for (a, a_limit), (b, b_limit) in pairs)
        found.append(
            {
                "measure": line.name,
                "engine": line.engine,
                "processes": line.processes,
                "callers": line.callers,
                "small": small,
                "large": large,
                "ratio": round(ratio, 3),
                "goal": GOAL_OF_SIZES,
            }
        )
    return found
