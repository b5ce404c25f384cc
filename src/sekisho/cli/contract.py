"""`sekisho contract`: register contracts, and remove what is kept no longer."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sekisho.cli.options import data_dir_option, json_option

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sekisho.store.removal import Removed
    from sekisho.usecases.import_contracts import Outcome
    from sekisho.usecases.register_unopened import RegisteredContract


@click.group()
def contract() -> None:
    """Register contracts, and remove those that are kept no longer."""


def _contract_id(_context: click.Context, _option: click.Parameter, typed: str | None) -> str | None:
    from sekisho.domain.person import is_contract_id

    if typed is not None and not is_contract_id(typed):
        raise click.BadParameter("a contract ID has 11 digits")
    return typed


@contract.command()
@click.option("--name", required=True, help="The company's name.")
@click.option("--administrator", required=True, help="The administrator's name.")
@click.option("--language", type=click.Choice(["ja", "en"]), default="ja", show_default=True, help="Of their mails.")
@click.option("--contract-id", callback=_contract_id, help="11 digits; drawn where it is left out.")
@data_dir_option
@json_option
def register(
    name: str, administrator: str, language: str, contract_id: str | None, data_dir: Path, *, as_json: bool
) -> None:
    """Register a contract that waits for its opening, and print its PINs and card table, which nothing keeps."""
    import getpass

    from sekisho import settings, wiring
    from sekisho.cli.exit_codes import USAGE
    from sekisho.cli.failure import fail, told
    from sekisho.domain.errors import DetailsNotAllowed
    from sekisho.store.audit import Actor
    from sekisho.usecases.register_unopened import register_unopened
    from sekisho.web import messages

    with told():
        installed = settings.load(data_dir)
        with wiring.open_ports(installed) as ports:
            try:
                registered = register_unopened(
                    ports,
                    bank=wiring.load_bank(installed, ports),
                    name=name,
                    administrator=administrator,
                    language=language,
                    contract_id=contract_id,
                    actor=Actor(f"operator:{getpass.getuser()}"),
                )
            except DetailsNotAllowed as refusal:
                field, code = next(iter(refusal.fields.items()))
                fail(f"--{field}: {messages.field_text('en', code, 'label.field')}", USAGE)
    click.echo(json.dumps(asdict(registered)) if as_json else _on_paper(registered))


@contract.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--letters", type=click.Path(path_type=Path, dir_okay=False), help="Where the PINs and cards go, as JSON."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be registered, and what is wrong.")
@data_dir_option
@json_option
def import_(file: Path, letters: Path | None, data_dir: Path, *, dry_run: bool, as_json: bool) -> None:
    """Register the contracts of a CSV file, each waiting for its opening. What is there already is left as it is.

    FILE is UTF-8 or CP932. Its first line names the columns: contract_id, name and administrator, and where there are
    any kana, branch, language.
    """
    import getpass

    from sekisho import settings, wiring
    from sekisho.cli import contract_file
    from sekisho.cli.exit_codes import USAGE, WORK_LEFT
    from sekisho.cli.failure import fail, told
    from sekisho.store.audit import Actor
    from sekisho.usecases.import_contracts import Done, Import, import_contracts

    if letters is None and not dry_run:
        raise click.UsageError("name the file for the PINs and cards with --letters, or say --dry-run")
    counts = dict.fromkeys(Done, 0)
    with told(), ExitStack() as open_:
        installed = settings.load(data_dir)
        ports = open_.enter_context(wiring.open_ports(installed))
        try:
            encoding, length = contract_file.encoding_of(file)
            keep = _nothing if letters is None else open_.enter_context(contract_file.letters(letters))
            how = Import(
                ports, wiring.load_bank(installed, ports), Actor(f"operator:{getpass.getuser()}"), keep, dry_run
            )
            for outcome in _shown(import_contracts(how, contract_file.lines_of(file, encoding)), length):
                counts[outcome.done] += 1
                if outcome.done is Done.WRONG:
                    click.echo(_wrong(outcome, as_json=as_json))
        except contract_file.FileNotUsable as why:
            fail(str(why), USAGE)
    if as_json:
        click.echo(json.dumps({done.value: count for done, count in counts.items()}))
    else:
        click.echo("  ".join(f"{done.value}: {count}" for done, count in counts.items()))
    if counts[Done.WRONG]:
        raise SystemExit(WORK_LEFT)


@contract.command()
@click.option("--dry-run", is_flag=True, help="Only name those whose retention is over.")
@data_dir_option
@json_option
def purge(data_dir: Path, *, dry_run: bool, as_json: bool) -> None:
    """Remove for good the contracts that the retention rule no longer keeps, from the CA's journal too.

    The worker does it by itself where it may; with PostgreSQL only the role that owns the tables may.
    """
    import getpass

    from sekisho import settings, wiring
    from sekisho.cli.exit_codes import USAGE
    from sekisho.cli.failure import fail, told
    from sekisho.store.audit import Actor
    from sekisho.usecases.remove_contracts import RemovalNotAllowed, due_contracts, remove_contracts

    with told():
        installed = settings.load(data_dir)
        with wiring.open_ports(installed) as ports:
            bank = wiring.load_bank(installed, ports)
            if dry_run:
                for contract_id in due_contracts(ports, bank):
                    click.echo(json.dumps({"contract_id": contract_id}) if as_json else contract_id)
                return
            actor = Actor(f"operator:{getpass.getuser()}")
            try:
                while some := remove_contracts(ports, bank=bank, actor=actor):
                    for removed in some:
                        click.echo(_removed(removed, as_json=as_json))
            except RemovalNotAllowed as refused:
                fail(str(refused), USAGE)


@contract.command("removed")
@data_dir_option
@json_option
def list_removed(data_dir: Path, *, as_json: bool) -> None:
    """List the contracts that were removed: when, how many rows, and SHA-256 of the audit rows among them."""
    from sekisho import settings, wiring
    from sekisho.cli.failure import told
    from sekisho.store import removal

    with told():
        installed = settings.load(data_dir)
        with wiring.open_ports(installed) as ports, ports.db.read() as tx:
            for removed in removal.removed(tx, installed.bank):
                click.echo(_removed(removed, as_json=as_json))


def _removed(removed: Removed, *, as_json: bool) -> str:
    if as_json:
        return json.dumps(
            {
                "contract_id": removed.contract_id,
                "ended_at": removed.ended_at.isoformat(),
                "removed_at": removed.removed_at.isoformat(),
                "rows": dict(removed.rows),
                "audit_sha256": removed.audit_sha256.hex(),
            }
        )
    rows = sum(removed.rows.values())
    dates = f"ended {removed.ended_at:%Y-%m-%d}  removed {removed.removed_at:%Y-%m-%d}"
    return f"{removed.contract_id}  {dates}  {rows} rows  {removed.audit_sha256.hex()}"


def _nothing(_drawn: Sequence[RegisteredContract]) -> None:
    """Keep nothing: a dry run draws nothing."""


def _shown(outcomes: Iterable[Outcome], length: int) -> Iterator[Outcome]:
    """Yield them, with a progress bar on a terminal."""
    if not sys.stderr.isatty():
        yield from outcomes
        return
    with click.progressbar(outcomes, length=length, label="contracts", file=sys.stderr) as bar:
        yield from bar


def _wrong(outcome: Outcome, *, as_json: bool) -> str:
    from sekisho.web import messages

    if as_json:
        return json.dumps(
            {"line": outcome.number, "contract_id": outcome.contract_id, "column": outcome.column, "code": outcome.code}
        )
    label = outcome.column or "line"
    words = messages.text("en", f"field.{outcome.code}", label=label)
    return f"line {outcome.number}: {words} ({outcome.code})"


def _on_paper(registered: RegisteredContract) -> str:
    table = "  ".join(f"{position}:{digit}" for position, digit in registered.card.items())
    return "\n".join(
        [
            f"契約者ID(利用者番号)  {registered.contract_id}",
            f"ご契約先暗証番号      {registered.contract_pin}",
            f"ご契約先確認暗証番号  {registered.contract_confirmation_pin}",
            f"登録用暗証番号        {registered.registration_pin}",
            f"確認用パスワード      {table}",
        ]
    )
