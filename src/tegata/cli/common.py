"""What the commands share: options, the terminal, the way to a bank."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tegata import words
from tegata.terminal import Terminal, chosen_language

if TYPE_CHECKING:
    from collections.abc import Callable

    from tegata.agent import Way
    from tegata.records import Book, Record
    from tegata.stores.spec import Spec

# Known before click reads the command line, since its help is in this language, too.
LANG = chosen_language(sys.argv[1:])


def help_text(key: str) -> str:
    """Return the help of a command or option."""
    return words.text(LANG, f"help.{key}")


def option(name: str, key: str, **more: Any) -> Callable[[Any], Any]:
    """Return a click option whose help stands in the catalogue."""
    return click.option(name, help=help_text(f"option.{key}"), **more)


lang_option = option("--lang", "lang", type=click.Choice(words.LANGUAGES), expose_value=False)
store_option = option("--store", "store", metavar="STORE")
ca_option = option("--ca", "ca", type=click.Path(exists=True, dir_okay=False, path_type=Path))
proxy_option = option("--proxy", "proxy", metavar="URL")
pin_stdin_option = option("--pin-stdin", "pin-stdin", is_flag=True)
json_option = click.option("--json", "as_json", is_flag=True, help=help_text("option.json"))


@dataclass(frozen=True, slots=True)
class Run:
    """What one command works with."""

    terminal: Terminal
    ca: Path | None
    proxy: str | None

    def way(self, record: Record | None = None) -> Way:
        """Return how the bank of a record is reached; its CAs are remembered."""
        from tegata.agent import Way
        from tegata.enrolment import Patience
        from tegata.web import Trust

        remembered = Path(record.ca) if record is not None and record.ca else None
        trust = Trust(self.ca or remembered, self.proxy)
        return Way(trust, self.terminal.lang, Patience(time.sleep), self.terminal.report)


def begin(*, as_json: bool, pin_stdin: bool, ca: Path | None = None, proxy: str | None = None) -> Run:
    """Begin a command."""
    return Run(Terminal(LANG, as_json=as_json, from_stdin=pin_stdin), ca, proxy)


def open_book() -> Book:
    """Return this person's records."""
    from tegata.records import Book

    return Book()


def spec_of(store: str | None) -> Spec:
    """Return the store that was named, or the platform's own."""
    from tegata.stores import spec

    return spec.platform_default() if store is None else spec.parse(store)


def tell_gone(run: Run, gone: list[str]) -> None:
    """Say which former certificates were removed."""
    for serial in gone:
        run.terminal.hint("done.former-removed", serial=serial)
