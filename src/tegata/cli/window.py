"""The window, and the links that open it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tegata.cli.common import LANG, ca_option, help_text, lang_option, option, proxy_option, spec_of, store_option
from tegata.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path


@click.command(help=help_text("gui"))
@option("--url", "url", metavar="URL")
@option("--bank", "bank", metavar="CODE")
@click.option(
    "--for",
    "kind",
    help=help_text("option.for"),
    type=click.Choice(["administrator", "user"]),
    default="user",
    show_default=True,
)
@ca_option
@store_option
@proxy_option
@lang_option
def gui(url: str | None, bank: str | None, kind: str, ca: Path | None, store: str | None, proxy: str | None) -> None:
    """Open the window."""
    _open_window(url, bank, kind, ca=ca, store=store, proxy=proxy)


@click.command("open", help=help_text("open"))
@click.argument("address", metavar="LINK")
@ca_option
@store_option
@lang_option
def open_(address: str, ca: Path | None, store: str | None) -> None:
    """Open a `tegata:` link."""
    terminal = Terminal(LANG)
    with terminal.telling():
        from tegata import link

        parsed = link.parse(address)
        _open_window(parsed.url, parsed.bank, parsed.kind, ca=ca, store=store, proxy=None)


def _open_window(
    url: str | None, bank: str | None, kind: str, *, ca: Path | None, store: str | None, proxy: str | None
) -> None:
    terminal = Terminal(LANG)
    with terminal.telling():
        from tegata.errors import Unfinished

        try:
            from tegata import gui as window
        except ImportError as missing:
            if not (missing.name or "").startswith(("PySide6", "shiboken6")):
                raise
            raise Unfinished("gui-missing") from missing
        start = window.Start(url or "", bank or "", kind, ca, None if store is None else str(spec_of(store)), proxy)
        raise SystemExit(window.run(start, LANG))


@click.command("install-link", help=help_text("install-link"))
@lang_option
def install_link() -> None:
    """Have the desktop open `tegata:` links with Tegata."""
    terminal = Terminal(LANG)
    with terminal.telling():
        from tegata import link

        terminal.say("done.link-installed", file=link.install())
