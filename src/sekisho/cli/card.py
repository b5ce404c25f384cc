"""`sekisho card`: the way of customer cards from the order to the post."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from sekisho.cli.options import data_dir_option, json_option


@click.group()
def card() -> None:
    """Have customer cards made and posted."""


@card.command("print")
@click.option(
    "--maker",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Their certificate; without it the one that is set.",
)
@click.option(
    "--output", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Where the encrypted file goes."
)
@data_dir_option
@json_option
def print_(maker: Path | None, output: Path, data_dir: Path, *, as_json: bool) -> None:
    """Write all cards that are not posted yet as a CSV file, encrypted for the card maker (CMS, AES-256).

    What was ordered is made then. Run again, it writes the same cards until they are posted.
    """
    import getpass

    from sekisho import settings, wiring
    from sekisho.cli.exit_codes import USAGE
    from sekisho.cli.failure import fail, told
    from sekisho.pki.envelope import RecipientNotUsable
    from sekisho.store.audit import Actor
    from sekisho.usecases.cards import print_cards

    with told():
        installed = settings.load(data_dir)
        with wiring.open_ports(installed) as ports:
            try:
                encrypted, count = print_cards(
                    ports,
                    bank=wiring.load_bank(installed, ports),
                    maker=None if maker is None else maker.read_bytes(),
                    actor=Actor(f"operator:{getpass.getuser()}"),
                )
            except RecipientNotUsable as why:
                fail(f"--maker: {why}", USAGE)
    _write(output, encrypted)
    click.echo(json.dumps({"cards": count}) if as_json else f"cards: {count}")


@card.command("maker")
@click.argument("certificate", required=False, type=click.Path(path_type=Path, dir_okay=False, exists=True))
@data_dir_option
@json_option
def maker_(certificate: Path | None, data_dir: Path, *, as_json: bool) -> None:
    """Set the card maker's CERTIFICATE (PEM), or show which one is set.

    The print file is encrypted for it at the console, and by `card print`
    without --maker. Compare the fingerprint with the maker by telephone.
    """
    import getpass

    from sekisho import settings, wiring
    from sekisho.cli.exit_codes import NOT_FOUND, USAGE
    from sekisho.cli.failure import fail, told
    from sekisho.pki.envelope import RecipientNotUsable
    from sekisho.store.audit import Actor
    from sekisho.usecases.change_policy import CommandNotAllowed
    from sekisho.usecases.set_card_maker import present_card_maker, set_card_maker

    with told():
        installed = settings.load(data_dir)
        with wiring.open_ports(installed) as ports:
            bank = wiring.load_bank(installed, ports)
            if certificate is None:
                found = present_card_maker(ports, bank.code)
                if found is None:
                    fail("no card maker's certificate is set", NOT_FOUND)
            else:
                actor = Actor(f"operator:{getpass.getuser()}")
                try:
                    found = set_card_maker(ports, bank=bank, certificate=certificate.read_bytes(), actor=actor)
                except (RecipientNotUsable, CommandNotAllowed) as why:
                    fail(f"{certificate}: {why}", USAGE)
    shown = {"name": found.name, "sha256": found.sha256.hex(), "not_after": found.not_after.isoformat()}
    click.echo(json.dumps(shown) if as_json else "\n".join(f"{name}: {value}" for name, value in shown.items()))


@card.command()
@click.argument("contract_ids", nargs=-1, required=True)
@data_dir_option
def post(contract_ids: tuple[str, ...], data_dir: Path) -> None:
    """Note that the made cards of these contracts are in the post; all or none."""
    import getpass

    from sekisho import settings, wiring
    from sekisho.cli.failure import told
    from sekisho.store.audit import Actor
    from sekisho.usecases.cards import post_cards

    with told():
        installed = settings.load(data_dir)
        with wiring.open_ports(installed) as ports:
            post_cards(
                ports,
                bank=wiring.load_bank(installed, ports),
                contract_ids=contract_ids,
                actor=Actor(f"operator:{getpass.getuser()}"),
            )


def _write(path: Path, encrypted: bytes) -> None:
    """Write the file whole or not at all, for its owner alone."""
    part = path.with_name(f"{path.name}.part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(encrypted)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
