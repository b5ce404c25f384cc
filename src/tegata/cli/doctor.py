"""Say why a logon does not work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tegata import words
from tegata.cli.common import (
    LANG,
    begin,
    ca_option,
    help_text,
    json_option,
    lang_option,
    open_book,
    pin_stdin_option,
    proxy_option,
    spec_of,
    store_option,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tegata.doctor import Finding
    from tegata.stores.spec import Spec
    from tegata.terminal import Terminal


@click.command(help=help_text("doctor"))
@store_option
@ca_option
@proxy_option
@pin_stdin_option
@json_option
@lang_option
def doctor(store: str | None, ca: Path | None, proxy: str | None, *, pin_stdin: bool, as_json: bool) -> None:
    """Say why a logon does not work."""
    run = begin(as_json=as_json, pin_stdin=pin_stdin, ca=ca, proxy=proxy)
    with run.terminal.telling():
        from tegata import doctor as doctors
        from tegata.errors import Unfinished

        book, spec = open_book(), _doctor_spec(store)
        with book.alone():
            findings = doctors.examine(run.way, book, spec, run.terminal.store_pin)
        for finding in findings:
            _tell_finding(run.terminal, finding)
        if any(finding.wrong for finding in findings):
            raise Unfinished("found-something")


def _doctor_spec(store: str | None) -> Spec:
    """Return the store that was named, else that of the only record, else the platform's own."""
    from tegata.stores.spec import parse

    named = {record.store for record in open_book().all()} if store is None else set()
    return parse(named.pop()) if len(named) == 1 else spec_of(store)


def _tell_finding(terminal: Terminal, finding: Finding) -> None:
    if finding.trouble is None:
        key = f"doctor.{finding.code}"
        what, then = (words.text(LANG, f"{key}.{part}", **finding.values) for part in ("what", "next"))
    else:
        what, then = words.told(LANG, finding.trouble)
    terminal.say("doctor-wrong" if finding.wrong else "doctor-good", what=what, next=then)
    terminal.data({"code": finding.code, "wrong": finding.wrong, "what": what, "next": then})
