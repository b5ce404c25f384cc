"""What the commands that print data have in common: where it comes from, and how it looks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


def opened(data_dir: Path) -> Any:
    """Open the ports of an installation, as a context."""
    from sekisho import settings, wiring

    return wiring.open_ports(settings.load(data_dir))


def pages(ports: Any, listed: Callable[..., list[Any]], id_of: Callable[[Any], int]) -> Iterable[Any]:
    """Yield what is listed, a page at a time."""
    after = 0
    while True:
        with ports.db.read() as tx:
            page = listed(tx, after=after)
        if not page:
            return
        yield from page
        after = id_of(page[-1])


def print_rows(rows: Iterable[Any], *, as_json: bool, show: Callable[[Any], dict[str, Any]]) -> None:
    """Print each, on a line of its own."""
    for row in rows:
        shown = show(row)
        if as_json:
            click.echo(json.dumps(shown, ensure_ascii=False))
        else:
            click.echo("  ".join(str(value) for value in shown.values() if value is not None))
