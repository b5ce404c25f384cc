"""What the figures were measured on, and what a process weighs."""

from __future__ import annotations

import os
import platform
import sqlite3
import ssl
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import argon2
import cryptography

from sekisho.bench import cluster

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# A load maker that is busy for so much of its time may be what limits.
BUSY = 0.9
# Processes that use less of a core than that for so long are at rest.
_AT_REST, _LOOK_S = 0.05, 0.5


def description(engines: Sequence[str]) -> dict[str, Any]:
    """Return the machine and the programs that were measured."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "cryptography": cryptography.__version__,
        "argon2-cffi": argon2.__version__,
        **({"postgresql": cluster.version()} if "postgresql" in engines else {}),
        **({"sqlite": sqlite3.sqlite_version} if "sqlite" in engines else {}),
    }


def busy(seconds: float) -> float:
    """Return which part of the machine others use while the bench itself does nothing for so long."""
    idle, everything = _ticks()
    time.sleep(seconds)
    idle_then, everything_then = _ticks()
    return 1 - (idle_then - idle) / max(1, everything_then - everything)


def settle(pids: Sequence[int], patience_s: float = 60.0) -> None:
    """Wait until processes that were just started are done with their first work: a limit is not measured beside it."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        before = _spent_s(pids)
        time.sleep(_LOOK_S)
        if _spent_s(pids) - before < _AT_REST * _LOOK_S:
            return


def _spent_s(pids: Iterable[int]) -> float:
    """Return the CPU seconds of processes so far."""
    spent = 0
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            spent += int(fields[11]) + int(fields[12])  # utime and stime: proc(5)
    return spent / os.sysconf("SC_CLK_TCK")


def _ticks() -> tuple[int, int]:
    spent = [int(ticks) for ticks in Path("/proc/stat").read_text("ascii").splitlines()[0].split()[1:]]
    return spent[3] + spent[4], sum(spent[:8])


def memory(pids: Iterable[int]) -> list[dict[str, float]]:
    """Return what each process holds in MiB: resident, and its share of what it holds together with others."""
    found = []
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()[1:]
            kib = {line.split(":")[0]: int(line.split()[1]) for line in lines}
            found.append({"rss_mib": round(kib["Rss"] / 1024, 1), "pss_mib": round(kib["Pss"] / 1024, 1)})
    return found


def peak_mib(pid: int) -> float:
    """Return the most that a process ever held, resident."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
