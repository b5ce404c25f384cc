"""The commands of Tegata. Each module that does the work is imported by the command that needs it."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tegata import __version__, words
from tegata.terminal import Terminal, chosen_language

if TYPE_CHECKING:
    from collections.abc import Callable

    from tegata.agent import Listed, Way
    from tegata.enrolment import Brought
    from tegata.records import Book, Record
    from tegata.stores.spec import Spec

LANG = chosen_language(sys.argv[1:])


def _help(key: str) -> str:
    return words.text(LANG, f"help.{key}")


def _option(name: str, key: str, **more: Any) -> Callable[[Any], Any]:
    return click.option(name, help=_help(f"option.{key}"), **more)


_lang = _option("--lang", "lang", type=click.Choice(words.LANGUAGES), expose_value=False)
_store = _option("--store", "store", metavar="STORE")
_ca = _option("--ca", "ca", type=click.Path(exists=True, dir_okay=False, path_type=Path))
_proxy = _option("--proxy", "proxy", metavar="URL")
_pin_stdin = _option("--pin-stdin", "pin-stdin", is_flag=True)


@click.group(help=_help("tegata"), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tegata")
@_lang
def main() -> None:
    """Be the group: its commands do the work."""


@dataclass(frozen=True, slots=True)
class _Run:
    """What one command works with."""

    terminal: Terminal
    ca: Path | None
    proxy: str | None

    def way(self, record: Record | None = None) -> Way:
        from tegata.agent import Way
        from tegata.enrolment import Patience
        from tegata.web import Trust

        remembered = Path(record.ca) if record is not None and record.ca else None
        trust = Trust(self.ca or remembered, self.proxy)
        return Way(trust, self.terminal.lang, Patience(time.sleep), self.terminal.report)


def _run(*, as_json: bool, pin_stdin: bool, ca: Path | None = None, proxy: str | None = None) -> _Run:
    return _Run(Terminal(LANG, as_json=as_json, from_stdin=pin_stdin), ca, proxy)


def _book() -> Book:
    from tegata.records import Book

    return Book()


def _spec(store: str | None) -> Spec:
    from tegata.stores import spec

    return spec.platform_default() if store is None else spec.parse(store)


@main.command(help=_help("acquire"))
@_option("--url", "url", required=True, metavar="URL")
@_option("--bank", "bank", required=True, metavar="CODE")
@_option("--contract", "contract", required=True, metavar="ID")
@_option("--user", "user", metavar="ID")
@_ca
@_store
@_proxy
@_pin_stdin
@click.option("--json", "as_json", is_flag=True, help=_help("option.json"))
@_lang
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
    run = _run(as_json=as_json, pin_stdin=pin_stdin, ca=ca, proxy=proxy)
    with run.terminal.telling():
        from tegata import agent
        from tegata.identity import typed
        from tegata.stores.spec import open_store

        person = typed(bank, contract, user)
        spec, book, way = _spec(store), _book(), run.way()
        with book.alone():
            pin = run.terminal.secret(f"ask.{person.kind}.pin")
            confirmation_pin = run.terminal.secret(f"ask.{person.kind}.confirmation-pin")
            met = agent.meet(way, url, person.bank)
            with open_store(spec, run.terminal.store_pin, create=True) as opened:
                record = agent.record_for(person, url, opened.spec, ca)
                brought = agent.acquire(way, met, book, opened, record, pin=pin, confirmation_pin=confirmation_pin)
                _tell_brought(run, brought, held=opened.held.value, code="certificate-acquired")
                # A reissue has ended the former one already.
                _tell_gone(run, agent.tidy(way, book, opened, brought.record)[1])


@main.command(help=_help("renew"))
@_option("--contract", "contract", metavar="ID")
@_option("--user", "user", metavar="ID")
@_ca
@_store
@_proxy
@_pin_stdin
@click.option("--json", "as_json", is_flag=True, help=_help("option.json"))
@_lang
def renew(
    contract: str | None,
    user: str | None,
    ca: Path | None,
    store: str | None,
    proxy: str | None,
    *,
    pin_stdin: bool,
    as_json: bool,
) -> None:
    """Renew a certificate."""
    run = _run(as_json=as_json, pin_stdin=pin_stdin, ca=ca, proxy=proxy)
    with run.terminal.telling():
        from tegata import agent
        from tegata.stores.spec import open_store, parse

        book = _book()
        with book.alone():
            record = _one_record(book, contract, user, store)
            way = run.way(record)
            pin = run.terminal.secret(f"ask.{record.person.kind}.pin")
            met = agent.meet(way, record.url, record.bank)
            with open_store(parse(record.store), run.terminal.store_pin) as opened:
                # The former one may be over by now, and its key is not needed for another renewal.
                record, gone = agent.tidy(way, book, opened, record)
                _tell_gone(run, gone)
                brought = agent.renew(way, met, book, opened, record, pin=pin)
                _tell_brought(run, brought, held=opened.held.value, code="certificate-renewed")


def _one_record(book: Book, contract: str | None, user: str | None, store: str | None) -> Record:
    """Return the one certificate that is meant. Raises `Unfinished`."""
    from tegata.errors import Unfinished
    from tegata.identity import typed

    wanted = typed("", contract, user) if contract else None
    fitting = [
        record
        for record in book.all()
        if record.present is not None
        and (wanted is None or record.contract_id == wanted.contract_id)
        and (user is None or (record.user_id or "").casefold() == user.casefold())
        and (store is None or record.store.startswith(str(_spec(store))))
    ]
    if not fitting:
        raise Unfinished("certificate-not-found", store=store or "")
    if len(fitting) > 1:
        names = ", ".join(sorted({record.person.est_name for record in fitting}))
        raise Unfinished("certificate-several", names=names)
    return fitting[0]


def _tell_brought(run: _Run, brought: Brought, *, held: str, code: str) -> None:
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


def _tell_gone(run: _Run, gone: list[str]) -> None:
    for serial in gone:
        run.terminal.hint("done.former-removed", serial=serial)


@main.command("list", help=_help("list"))
@_store
@_ca
@_proxy
@_pin_stdin
@click.option("--json", "as_json", is_flag=True, help=_help("option.json"))
@_lang
def list_(store: str | None, ca: Path | None, proxy: str | None, *, pin_stdin: bool, as_json: bool) -> None:
    """List certificates."""
    run = _run(as_json=as_json, pin_stdin=pin_stdin, ca=ca, proxy=proxy)
    with run.terminal.telling():
        book = _book()
        specs = _all_specs(book) if store is None else [_spec(store)]
        with book.alone():
            for spec in specs:
                _list_one(run, book, spec, asked=store is not None)


def _all_specs(book: Book) -> list[Spec]:
    """Return the stores of this person: browsers' databases and whatever a record names."""
    from tegata.stores.spec import found_databases, parse

    named = [parse(record.store) for record in book.all()]
    return list(dict.fromkeys([*found_databases(), *named]))


def _list_one(run: _Run, book: Book, spec: Spec, *, asked: bool) -> None:
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
                    _tell_gone(run, agent.tidy(run.way(record), book, opened, record)[1])
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


@main.command(help=_help("remove"))
@click.argument("serial", required=False)
@_option("--unfinished", "unfinished", is_flag=True)
@_option("--yes", "yes", is_flag=True)
@_store
@_pin_stdin
@click.option("--json", "as_json", is_flag=True, help=_help("option.json"))
@_lang
def remove(
    serial: str | None, store: str | None, *, unfinished: bool, yes: bool, pin_stdin: bool, as_json: bool
) -> None:
    """Remove a certificate and its key."""
    run = _run(as_json=as_json, pin_stdin=pin_stdin)
    if (serial is None) != unfinished:
        raise click.UsageError(words.text(LANG, "usage.remove"))
    with run.terminal.telling():
        from tegata.stores.spec import open_store

        book, spec = _book(), _spec(store)
        with book.alone(), open_store(spec, run.terminal.store_pin) as opened:
            if unfinished:
                _remove_unfinished(run, book, opened)
            else:
                _remove_one(run, book, opened, str(serial), yes=yes)


def _remove_unfinished(run: _Run, book: Book, store: Any) -> None:
    from tegata.enrolment import forget_unfinished

    for record in [one for one in book.all() if one.store == store.spec and one.wanted is not None]:
        forget_unfinished(store, book, record)
        run.terminal.say("done.unfinished-removed", name=record.person.est_name)
        run.terminal.data({"code": "unfinished-removed", "name": record.person.est_name})


def _remove_one(run: _Run, book: Book, store: Any, serial: str, *, yes: bool) -> None:
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


@main.command(help=_help("doctor"))
@_store
@_ca
@_proxy
@_pin_stdin
@click.option("--json", "as_json", is_flag=True, help=_help("option.json"))
@_lang
def doctor(store: str | None, ca: Path | None, proxy: str | None, *, pin_stdin: bool, as_json: bool) -> None:
    """Say why a logon does not work."""
    run = _run(as_json=as_json, pin_stdin=pin_stdin, ca=ca, proxy=proxy)
    with run.terminal.telling():
        from tegata import doctor as doctors
        from tegata.errors import Unfinished

        book, spec = _book(), _doctor_spec(store)
        with book.alone():
            findings = doctors.examine(run.way, book, spec, run.terminal.store_pin)
        for finding in findings:
            _tell_finding(run.terminal, finding)
        if any(finding.wrong for finding in findings):
            raise Unfinished("found-something")


def _doctor_spec(store: str | None) -> Spec:
    """Return the store that was named, else that of the only record, else the platform's own."""
    from tegata.stores.spec import parse

    named = {record.store for record in _book().all()} if store is None else set()
    return parse(named.pop()) if len(named) == 1 else _spec(store)


def _tell_finding(terminal: Terminal, finding: Any) -> None:
    trouble = finding.values.get("trouble")
    code = finding.code if trouble is None else trouble.code
    if trouble is None:
        key = f"doctor.{finding.code}"
        what, then = (words.text(LANG, f"{key}.{part}", **finding.values) for part in ("what", "next"))
    else:
        what, then = words.told(LANG, trouble)
    terminal.say("doctor-wrong" if finding.wrong else "doctor-good", what=what, next=then)
    terminal.data({"code": code, "wrong": finding.wrong, "what": what, "next": then})


@main.command(help=_help("stores"))
@click.option("--json", "as_json", is_flag=True, help=_help("option.json"))
@_lang
def stores(*, as_json: bool) -> None:
    """Show the browsers' databases of this computer."""
    run = _run(as_json=as_json, pin_stdin=False)
    with run.terminal.telling():
        from tegata.stores.spec import found_databases, platform_default

        first = platform_default()
        for spec in dict.fromkeys([first, *found_databases()]):
            own = words.text(LANG, "stores.own") if spec == first else ""
            run.terminal.say("stores.line", store=str(spec), own=own)
            run.terminal.data({"store": str(spec), "own": spec == first})


@main.command(help=_help("gui"))
@_option("--url", "url", metavar="URL")
@_option("--bank", "bank", metavar="CODE")
@click.option(
    "--for",
    "kind",
    help=_help("option.for"),
    type=click.Choice(["administrator", "user"]),
    default="user",
    show_default=True,
)
@_ca
@_store
@_proxy
@_lang
def gui(url: str | None, bank: str | None, kind: str, ca: Path | None, store: str | None, proxy: str | None) -> None:
    """Open the window."""
    _open_window(url, bank, kind, ca=ca, store=store, proxy=proxy)


@main.command("open", help=_help("open"))
@click.argument("address", metavar="LINK")
@_ca
@_store
@_lang
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
        start = window.Start(url or "", bank or "", kind, ca, None if store is None else str(_spec(store)), proxy)
        raise SystemExit(window.run(start, LANG))


@main.command("install-link", help=_help("install-link"))
@_lang
def install_link() -> None:
    """Have the desktop open `tegata:` links with Tegata."""
    terminal = Terminal(LANG)
    with terminal.telling():
        from tegata import link

        terminal.say("done.link-installed", file=link.install())
