"""The rounds, and the table that comes of them."""

from __future__ import annotations

import json
import os
import platform
import ssl
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sekisho.bench import limits, load
from sekisho.bench.stage import PIN, stage
from sekisho.vault.pins import PinHasher

if TYPE_CHECKING:
    from collections.abc import Callable

CALLERS = 8


def run(*, rounds: int, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure and return machine, rates and ratios. Every round does each thing once; the median counts."""
    rates: dict[str, list[float]] = defaultdict(list)
    times: dict[str, list[float]] = defaultdict(list)
    pins = PinHasher(os.urandom(32))
    verifier = pins.hash(PIN)
    with tempfile.TemporaryDirectory() as folder, stage(Path(folder), CALLERS) as here:
        for number in range(1, rounds + 1):
            say(f"round {number} of {rounds}")
            rates["argon2"].append(limits.argon2_rate(pins, verifier, PIN, seconds))
            for name, callers in (
                ("log_on", here.users),
                ("fetch_and_log_on", here.users),
                ("handshake", here.bare),
            ):
                outcome = load.run(name, callers, seconds)
                rates[name].append(outcome.rate)
                times[name].append(outcome.percentile(0.99))

    def ratio(name: str, limit: str) -> float:
        """Return the median of what each round showed: what disturbs the machine disturbs both sides of a round."""
        paired = zip(rates[name], rates[limit], strict=True)
        return round(statistics.median(measured / possible for measured, possible in paired), 3)

    return {
        "machine": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "openssl": ssl.OPENSSL_VERSION,
            "system": platform.platform(),
        },
        "rounds": rounds,
        "seconds": seconds,
        "callers": CALLERS,
        "rates": {name: [round(value, 1) for value in values] for name, values in rates.items()},
        "p99_s": {name: round(statistics.median(values), 4) for name, values in times.items()},
        "ratios": {
            "logon (connection and PIN) / argon2": ratio("log_on", "argon2"),
            "logon (connection, form, PIN, status) / argon2": ratio("fetch_and_log_on", "argon2"),
            "logon (connection and PIN) / bare handshake": ratio("log_on", "handshake"),
        },
    }


def table(result: dict[str, Any]) -> str:
    """Return the ratios as a table in Markdown, with the rates that they come from."""
    machine = result["machine"]
    lines = [
        f"{machine['cores']} cores, Python {machine['python']}, {machine['openssl']}.",
        f"{result['callers']} callers on the same cores, SQLite with synchronous=FULL.",
        f"Median of {result['rounds']} rounds of {result['seconds']:g} s.",
        "",
        "| ratio | value |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in result["ratios"].items()),
        "",
        "| a second | median | rounds |",
        "| --- | --- | --- |",
        *(
            f"| {name.replace('_', ' ')} | {statistics.median(values):.0f} | {', '.join(map(str, values))} |"
            for name, values in result["rates"].items()
        ),
        "",
        "99 of 100 within: "
        + ", ".join(f"{name.replace('_', ' ')} {s * 1000:.0f} ms" for name, s in result["p99_s"].items()),
    ]
    return "\n".join(lines)


def write(result: dict[str, Any], file: Path) -> None:
    """Write the result as JSON."""
    file.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
