"""Acquire and renew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tegata.cli.common import (
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
from tegata.cli.due import renew_due

if TYPE_CHECKING:
    from pathlib import Path

    from tegata.enrolment import Brought
    from tegata.records import Book, Record
    from tegata.terminal import Terminal


@click.command(help=help_text("acquire"))
@option("--url", "url", required=True, metavar="URL")
@option("--bank", "bank", required=True, metavar="CODE")
@option("--contract", "contract", required=True, metavar="ID")
@option("--user", "user", metavar="ID")
@ca_option
@store_option
@proxy_option
@pin_stdin_option
@json_option
@lang_option
def acquire(
    url: str,
    bank: str,
    contract: str,
    user: str | None,
    ca: Path | None,
    store: str | None,
    proxy: str | None,
    *,
    pin_stdin: bool,
    as_json: bool,
) -> None:
    """Acquire a certificate."""
    run = begin(as_json=as_json, pin_stdin=pin_stdin, ca=ca, proxy=proxy)
    with run.terminal.telling():
        from tegata import agent
        from tegata.identity import typed
        from tegata.stores.spec import open_store

        person = typed(bank, contract, user)
        spec, book, way = spec_of(store), open_book(), run.way()
        with book.alone():
            pin = run.terminal.secret(f"ask.{person.kind}.pin")
            confirmation_pin = run.terminal.secret(f"ask.{person.kind}.confirmation-pin")
            met = agent.meet(way, url, person.bank)
            with open_store(spec, run.terminal.store_pin, create=True) as opened:
                record = agent.record_for(person, url, opened.spec, ca)
                brought = agent.acquire(
                    way,
                    met,
                    book,
                    opened,
                    record,
                    pin=pin,
                    confirmation_pin=confirmation_pin,
                    mailed_code=run.terminal.mailed_code,
                )
                _tell_brought(run, brought, held=opened.held.value, code="certificate-acquired")
                # A reissue has ended the former one already.
                tell_gone(run, agent.tidy(way, book, opened, brought.record)[1])


@click.command(help=help_text("renew"))
@option("--contract", "contract", metavar="ID")
@option("--user", "user", metavar="ID")
@click.option("--without-pin", is_flag=True, help=help_text("option.without-pin"))
@click.option("--due", "only_due", is_flag=True, help=help_text("option.due"))
@click.option("--notify", is_flag=True, help=help_text("option.notify"))
@ca_option
@store_option
@proxy_option
@pin_stdin_option
@json_option
@lang_option
def renew(
    contract: str | None,
    user: str | None,
    ca: Path | None,
    store: str | None,
    proxy: str | None,
    *,
    without_pin: bool,
    only_due: bool,
    notify: bool,
    pin_stdin: bool,
    as_json: bool,
) -> None:
    """Renew a certificate, or whatever is due."""
    run = begin(as_json=as_json, pin_stdin=pin_stdin, ca=ca, proxy=proxy)
    with run.terminal.telling():
        from tegata import agent
        from tegata.stores.spec import open_store, parse

        book = open_book()
        if only_due:
            with book.alone():
                renew_due(run, book, _fitting(book, contract, user, store), notify=notify)
            return
        with book.alone():
            record = _one_record(book, contract, user, store)
            way = run.way(record)
            pin = None if without_pin else run.terminal.secret(f"ask.{record.person.kind}.pin")
            met = agent.meet(way, record.url, record.bank)
            with open_store(parse(record.store), run.terminal.store_pin) as opened:
                # The former one may be over by now, and its key is not needed for another renewal.
                record, gone = agent.tidy(way, book, opened, record)
                tell_gone(run, gone)
                brought = agent.renew(way, met, book, opened, record, pin=pin)
                _tell_brought(run, brought, held=opened.held.value, code="certificate-renewed")
                if without_pin:
                    run.terminal.hint("hint.log-on-once")


def _one_record(book: Book, contract: str | None, user: str | None, store: str | None) -> Record:
    """Return the one certificate that is meant. Raises `Unfinished`."""
    from tegata.errors import Unfinished

    fitting = _fitting(book, contract, user, store)
    if not fitting:
        raise Unfinished("certificate-not-found", store=store or "")
    if len(fitting) > 1:
        names = ", ".join(sorted({record.person.est_name for record in fitting}))
        raise Unfinished("certificate-several", names=names)
    return fitting[0]


def _fitting(book: Book, contract: str | None, user: str | None, store: str | None) -> list[Record]:
    """Return the certificates that may be meant."""
    from tegata.identity import typed

    wanted = typed("", contract, user) if contract else None
    return [
        record
        for record in book.all()
        if record.present is not None
        and (wanted is None or record.contract_id == wanted.contract_id)
        and (user is None or (record.user_id or "").casefold() == user.casefold())
        and (store is None or record.store.startswith(str(spec_of(store))))
    ]


def _tell_brought(run: Run, brought: Brought, *, held: str, code: str) -> None:
    certificate = brought.issued.certificate
    terminal = run.terminal
    until = certificate.not_valid_after_utc.astimezone()
    terminal.say("done.already" if brought.already else "done.installed")
    terminal.say("done.where", store=brought.record.store, until=f"{until:%Y-%m-%d %H:%M}")
    terminal.hint(f"held.{held}")
    terminal.data(
        {
            "code": code,
            "already": brought.already,
            "serial": f"{certificate.serial_number:032x}",
            "common_name": brought.record.person.common_name,
            "not_after": certificate.not_valid_after_utc.isoformat(),
            "store": brought.record.store,
            "key_held_claimed": held,
        }
    )
    _hint_browser(terminal, brought.record.store)


def _hint_browser(terminal: Terminal, store: str) -> None:
    from tegata.stores.spec import browsers_that_know, parse

    spec = parse(store)
    if spec.kind == "pkcs11" and browsers_that_know(spec.where) is False:
        terminal.hint("hint.browser-without-token", module=spec.where)
