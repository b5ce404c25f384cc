"""List certificates and stores, and remove."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tegata import words
from tegata.cli.common import (
    LANG,
    Run,
    begin,
    ca_option,
    help_text,
    json_option,
    lang_option,
    open_book,
    option,
    pin_stdin_option,
    proxy_option,
    spec_of,
    store_option,
    tell_gone,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tegata.agent import Listed
    from tegata.records import Book
    from tegata.stores.interface import KeyStore
    from tegata.stores.spec import Spec
    from tegata.terminal import Terminal


@click.command("list", help=help_text("list"))
@store_option
@ca_option
@proxy_option
@pin_stdin_option
@json_option
@lang_option
def list_(store: str | None, ca: Path | None, proxy: str | None, *, pin_stdin: bool, as_json: bool) -> None:
    """List certificates."""
    run = begin(as_json=as_json, pin_stdin=pin_stdin, ca=ca, proxy=proxy)
    with run.terminal.telling():
        book = open_book()
        specs = _all_specs(book) if store is None else [spec_of(store)]
        with book.alone():
            for spec in specs:
                _list_one(run, book, spec, asked=store is not None)


def _all_specs(book: Book) -> list[Spec]:
    """Return the stores of this person: browsers' databases and whatever a record names."""
    from tegata.stores.spec import found_databases, parse

    named = [parse(record.store) for record in book.all()]
    return list(dict.fromkeys([*found_databases(), *named]))


def _list_one(run: Run, book: Book, spec: Spec, *, asked: bool) -> None:
    from tegata import agent
    from tegata.errors import StoreTrouble
    from tegata.stores.spec import open_store

    terminal = run.terminal
    # Certificates are there for everybody to see, but in a database with a primary password.
    ask = terminal.store_pin if terminal.from_stdin or (asked and spec.kind == "nss") else None
    try:
        with open_store(spec, ask) as opened:
            if ask is not None or spec.kind == "nss":
                for record in [one for one in book.all() if one.store == opened.spec and one.former]:
                    tell_gone(run, agent.tidy(run.way(record), book, opened, record)[1])
            for one in agent.listed(opened, book):
                _show(terminal, one)
            for record in [one for one in book.all() if one.store == opened.spec and one.wanted is not None]:
                terminal.hint("list.unfinished", name=record.person.est_name, store=record.store)
    except StoreTrouble as trouble:
        if asked:
            raise
        terminal.hint("list.store-shut", store=str(spec), what=words.told(terminal.lang, trouble)[0])


def _show(terminal: Terminal, one: Listed) -> None:
    until = one.certificate.not_valid_after_utc
    state = words.text(terminal.lang, f"state.{one.state}")
    shown = f"{until.astimezone():%Y-%m-%d %H:%M}"
    terminal.say("list.line", name=one.common_name, state=state, until=shown, serial=one.serial, store=one.store)
    terminal.data(
        {
            "common_name": one.common_name,
            "serial": one.serial,
            "not_before": one.certificate.not_valid_before_utc.isoformat(),
            "not_after": until.isoformat(),
            "state": one.state,
            "store": one.store,
            "key_held_claimed": one.held,
            "url": None if one.record is None else one.record.url,
        }
    )


@click.command(help=help_text("remove"))
@click.argument("serial", required=False)
@option("--unfinished", "unfinished", is_flag=True)
@option("--yes", "yes", is_flag=True)
@store_option
@pin_stdin_option
@json_option
@lang_option
def remove(
    serial: str | None, store: str | None, *, unfinished: bool, yes: bool, pin_stdin: bool, as_json: bool
) -> None:
    """Remove a certificate and its key."""
    run = begin(as_json=as_json, pin_stdin=pin_stdin)
    if (serial is None) != unfinished:
        raise click.UsageError(words.text(LANG, "usage.remove"))
    with run.terminal.telling():
        from tegata.stores.spec import open_store

        book, spec = open_book(), spec_of(store)
        with book.alone(), open_store(spec, run.terminal.store_pin) as opened:
            if unfinished:
                _remove_unfinished(run, book, opened)
            else:
                _remove_one(run, book, opened, str(serial), yes=yes)


def _remove_unfinished(run: Run, book: Book, store: KeyStore) -> None:
    from tegata.enrolment import forget_unfinished

    for record in [one for one in book.all() if one.store == store.spec and one.wanted is not None]:
        forget_unfinished(store, book, record)
        run.terminal.say("done.unfinished-removed", name=record.person.est_name)
        run.terminal.data({"code": "unfinished-removed", "name": record.person.est_name})


def _remove_one(run: Run, book: Book, store: KeyStore, serial: str, *, yes: bool) -> None:
    from tegata import agent
    from tegata.errors import Unfinished

    wanted = serial.lower().replace(":", "").lstrip("0")
    found = [one for one in agent.listed(store, book) if one.serial.lstrip("0") == wanted]
    if not found:
        raise Unfinished("certificate-not-found", store=store.spec)
    one = found[0]
    if not yes and not run.terminal.from_stdin:
        sure = click.confirm(words.text(LANG, "ask.remove", name=one.common_name), err=True)
        if not sure:
            raise KeyboardInterrupt
    agent.remove(book, store, one)
    run.terminal.say("done.removed", name=one.common_name, serial=one.serial)
    run.terminal.data({"code": "certificate-removed", "serial": one.serial})


@click.command(help=help_text("stores"))
@json_option
@lang_option
def stores(*, as_json: bool) -> None:
    """Show the browsers' databases of this computer."""
    run = begin(as_json=as_json, pin_stdin=False)
    with run.terminal.telling():
        from tegata.stores.spec import found_databases, platform_default

        first = platform_default()
        for spec in dict.fromkeys([first, *found_databases()]):
            own = words.text(LANG, "stores.own") if spec == first else ""
            run.terminal.say("stores.line", store=str(spec), own=own)
            run.terminal.data({"store": str(spec), "own": spec == first})
