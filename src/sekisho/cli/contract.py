"""`sekisho contract`: register contracts."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from sekisho.cli.options import data_dir_option, json_option

if TYPE_CHECKING:
    from pathlib import Path

    from sekisho.usecases.register_unopened import RegisteredContract


@click.group()
def contract() -> None:
    """Register contracts."""


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
