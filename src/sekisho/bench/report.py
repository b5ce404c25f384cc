"""The tables that come of a result."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_DATABASES = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}
_QUIET = 0.1


def write(result: dict[str, Any], file: Path) -> None:
    """Write the result as JSON, and beside it the same as tables in Markdown."""
    file.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", "utf-8")
    file.with_suffix(".md").write_text(page(result), "utf-8")


def page(result: dict[str, Any]) -> str:
    """Return the page of the reference."""
    told = "What `make bench` measured last on one machine; [how it measures](../explanation/bench.md)."
    return f"# Bench\n\n{told}\n\n{tables(result)}\n"


def tables(result: dict[str, Any]) -> str:
    """Return what was measured as tables in Markdown."""
    parts = [_machine(result)]
    made = (
        *(("lines", _lines), ("sizes", _sizes), ("pages", _pages), ("lists", _lists), ("limits", _limits)),
        ("memory", _memory),
    )
    parts += [make(result[name]) for name, make in made if result.get(name)]
    if "profile" in result:
        parts.append(profile(result["profile"]))
    return "\n\n".join(parts)


def profile(profiles: Sequence[dict[str, Any]]) -> str:
    """Return where the time of one logon and of one issuance goes."""
    parts = []
    for one in profiles:
        rows = [
            (part["part"], f"{part['ms']:.3f}", f"{100 * part['ms'] / one['ms']:.0f} %", f"{part['times']:g}")
            for part in one["parts"]
        ]
        where = f"{_DATABASES[one['engine']]}, {one['certificates']:,} certificates"
        head = f"## {one['name']}, {where}: {one['ms']:.2f} ms\n\n{one['how']}\n\n"
        parts.append(head + _table(("part", "ms", "share", "times"), rows))
    return "\n\n".join(parts)


def _machine(result: dict[str, Any]) -> str:
    machine = dict(result["machine"])
    first = (
        f"{machine.pop('cores')} cores of {machine.pop('processor')}, {machine.pop('memory_gib')} GiB, "
        f"{machine.pop('system')}."
    )
    versions = ", ".join(f"{name} {version}" for name, version in machine.items())
    others = max(result["others"], default=0)
    lines = [f"{first} {versions}."]
    if not result["rounds"]:
        return lines[0]
    lines += [
        "",
        f"Median of {result['rounds']} rounds of {result['seconds']:g} s each. The load ran on the same cores.",
        "Other programs used "
        + ", ".join(f"{share:.0%}" for share in result["others"])
        + " of the machine just before each round"
        + (": it was not quiet, and the ratios scatter." if others > _QUIET else "."),
    ]
    return "\n".join(lines)


def _lines(lines: Iterable[dict[str, Any]]) -> str:
    rows = [
        (
            one["measure"] + (f" (of {one['units']} checks)" if one["units"] > 1 else ""),
            _DATABASES[one["engine"]],
            f"{one['certificates']:,}",
            one["processes"],
            one["callers"],
            f"{one['rate']:,.0f}",
            f"{one['limit']} {one['limit_rate']:,.0f}",
            f"**{one['ratio']:.2f}**" if one["ratio"] >= one["goal"] else f"{one['ratio']:.2f}",
            f"{one['goal']:.2f}",
            f"{min(one['ratios']):.2f}-{max(one['ratios']):.2f}",
            f"{one['p50_ms']:.1f}",
            f"{one['p99_ms']:.1f}",
            _load(one),
        )
        for one in lines
    ]
    head = (
        *("measure", "database", "certificates", "processes", "callers", "a second", "limit, a second", "ratio"),
        *("goal", "rounds", "p50 ms", "p99 ms", "load, cores"),
    )
    return "## Ratios to limits\n\nBold: the goal is reached.\n\n" + _table(head, rows)


def _sizes(sizes: Iterable[dict[str, Any]]) -> str:
    sizes = list(sizes)
    rows = [
        (
            one["measure"],
            _DATABASES[one["engine"]],
            one["processes"],
            one["callers"],
            f"**{one['ratio']:.2f}**" if one["ratio"] >= one["goal"] else f"{one['ratio']:.2f}",
            f"{one['goal']:.2f}",
        )
        for one in sizes
    ]
    told = f"## {sizes[0]['large']:,} certificates to {sizes[0]['small']:,}\n\nBoth as ratios to their limits.\n\n"
    return told + _table(("measure", "database", "processes", "callers", "ratio", "goal"), rows)


def _pages(pages: Iterable[dict[str, Any]]) -> str:
    pages = list(pages)
    rows = [
        (
            one["page"],
            _DATABASES[one["engine"]],
            f"{one['certificates']:,}",
            f"{one['p50_ms']:.1f}",
            f"**{one['slowest_ms']:.1f}**" if one["slowest_ms"] <= one["goal_ms"] else f"{one['slowest_ms']:.1f}",
            f"{one['goal_ms']:g}",
            f"{one['first_ms']:.1f}",
            f"{one['hello_ms']:.2f}",
            f"{one['ratio']:.1f}",
        )
        for one in pages
    ]
    head = (
        *("page", "database", "certificates", "p50 ms", "slowest ms", "goal ms", "first of a process, ms"),
        *("FastAPI hello, ms", "ratio"),
    )
    told = "One caller, one process; the ratio is that of the medians.\n\nBold: none took longer than the goal.\n\n"
    return f"## Pages of the console\n\n{told}" + _table(head, rows)


def _lists(lists: Iterable[dict[str, Any]]) -> str:
    rows = [
        (
            f"{one['entries']:,}",
            f"{one['octets'] / 2**20:.1f}",
            f"{one['database_s']:.3f}",
            f"{one['first_s']:.3f}",
            f"{one['made_s']:.3f}",
            f"{one['made_s'] / one['entries'] * 1e6:.2f}",
            f"{one['site_mib']:.0f}",
            f"{one['ca_mib']:.0f}",
        )
        for one in lists
    ]
    head = (
        *("entries", "MiB", "read from SQLite, s", "the first list, s", "the next one, s", "µs an entry"),
        *("more memory of the site, MiB", "most memory of the CA, MiB"),
    )
    told = (
        "## Revocation lists\n\nPut together, checked and signed by the CA's process, which writes down what ended.\n\n"
    )
    return told + _table(head, rows)


def _limits(limits: Iterable[dict[str, Any]]) -> str:
    rows = [(one["limit"], f"{one['rate']:,.0f}", _load(one)) for one in limits]
    return "## Limits of the machine\n\n" + _table(("limit", "a second", "load, cores"), rows)


def _memory(memory: Iterable[dict[str, Any]]) -> str:
    rows = []
    for one in memory:
        for what, processes in one["processes"].items():
            rss = " + ".join(f"{process['rss_mib']:.0f}" for process in processes)
            pss = " + ".join(f"{process['pss_mib']:.0f}" for process in processes)
            where = (_DATABASES[one["engine"]], f"{one['certificates']:,}", one["workers"], one["when"])
            rows.append((*where, what, rss, pss))
    told = "## Memory in MiB\n\nWith one worker the supervisor itself serves. Under load: logons of 64 callers.\n\n"
    return told + _table(("database", "certificates", "workers", "when", "process", "RSS", "PSS"), rows)


def _load(one: dict[str, Any]) -> str:
    if not one.get("load_cores"):
        return ""
    return f"{one['load_cores']:.2f}" + (", may be what limits" if one["load_may_limit"] else "")


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
