"""Renewal without anybody: what a timer runs, and the timer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tegata import words
from tegata.cli.common import LANG, Run, help_text, lang_option, option, tell_gone
from tegata.terminal import Terminal

if TYPE_CHECKING:
    from datetime import datetime

    from tegata.due import Looked
    from tegata.errors import Trouble
    from tegata.records import Book, Record


def renew_due(run: Run, book: Book, records: list[Record], *, notify: bool) -> None:
    """Look at each certificate; what goes wrong with one does not keep the others from it.

    Ends with the exit code of the first trouble, or that of something found where a person has to act.
    """
    from tegata import exit_codes
    from tegata.errors import Trouble

    codes = []
    for record in records:
        try:
            looked = _look(run, book, record)
        except Trouble as trouble:
            codes.append(exit_codes.of(trouble))
            _tell_trouble(run.terminal, record, trouble, notify=notify)
            continue
        if looked.needs_person:
            codes.append(exit_codes.FOUND_SOMETHING)
        _tell(run.terminal, looked, notify=notify)
    if codes:
        raise SystemExit(codes[0])


def _look(run: Run, book: Book, record: Record) -> Looked:
    from tegata import agent, due
    from tegata.stores.spec import open_store, parse

    way = run.way(record)
    with open_store(parse(record.store), run.terminal.store_pin) as opened:
        record, gone = agent.tidy(way, book, opened, record)
        tell_gone(run, gone)
        return due.look(way, book, opened, record)


def _tell(terminal: Terminal, looked: Looked, *, notify: bool) -> None:
    from tegata import timer
    from tegata.due import Outcome

    values = {
        "name": looked.record.person.est_name,
        "opens": _shown(looked.renewal_opens),
        "until": _shown(looked.not_after),
        "said": looked.said,
    }
    terminal.say(f"due.{looked.outcome}", **values)
    terminal.data(
        {
            "code": looked.outcome.value,
            "common_name": looked.record.person.common_name,
            "store": looked.record.store,
            "renewal_opens": _written(looked.renewal_opens),
            "not_after": _written(looked.not_after),
        }
    )
    if notify and looked.outcome is not Outcome.NOT_DUE:
        timer.notify(words.text(terminal.lang, f"due.{looked.outcome}", **values))


def _shown(at: datetime | None) -> str:
    return "" if at is None else f"{at.astimezone():%Y-%m-%d %H:%M}"


def _written(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _tell_trouble(terminal: Terminal, record: Record, trouble: Trouble, *, notify: bool) -> None:
    from tegata import timer

    what, then = words.told(terminal.lang, trouble)
    told = words.text(terminal.lang, "due.trouble", name=record.person.est_name, what=what, then=then)
    terminal.hint("due.trouble", name=record.person.est_name, what=what, then=then)
    reason = trouble.values.get("reason")
    terminal.data(
        {
            "code": trouble.code,
            "reason": reason,
            "common_name": record.person.common_name,
            "store": record.store,
        }
    )
    if notify:
        timer.notify(told)


@click.command("install-timer", help=help_text("install-timer"))
@option("--store-pin-file", "store-pin-file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@lang_option
def install_timer(store_pin_file: Path | None) -> None:
    """Have systemd renew each day what is due."""
    terminal = Terminal(LANG)
    with terminal.telling():
        from tegata import timer

        installed = timer.install(store_pin_file)
        terminal.say("done.timer-installed", file=installed.file)
        if not installed.started:
            terminal.hint("hint.timer-not-started")
