"""`sekisho policy`: what the bank has set for itself."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from sekisho.cli.options import data_dir_option, json_option

if TYPE_CHECKING:
    from pathlib import Path

    from sekisho.domain.policy import Policy
    from sekisho.domain.second_step import SecondStep

# Days; the longest that is seen at a bank.
LONGEST_GRACE = 300


@click.group()
def policy() -> None:
    """Show and set the rules that the bank sets for itself."""


@policy.command("show")
@data_dir_option
@json_option
def show_rules(data_dir: Path, *, as_json: bool) -> None:
    """Print the rules that are stored for the bank."""
    from sekisho import settings, wiring
    from sekisho.cli.failure import told

    with told():
        installed = settings.load(data_dir)
        with wiring.open_ports(installed) as ports:
            _print(wiring.load_bank(installed, ports).policy, as_json=as_json)


def _steps(_context: click.Context, _option: click.Parameter, typed: str | None) -> frozenset[SecondStep] | None:
    from sekisho.domain.second_step import SecondStep

    if typed is None:
        return None
    names = [name.strip() for name in typed.split(",")]
    unknown = [name for name in names if name not in list(SecondStep)]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(SecondStep)}")
    return frozenset(map(SecondStep, names))


@policy.command("set")
@click.option(
    "--grace-days",
    type=click.IntRange(0, LONGEST_GRACE),
    help="For so long after its end a certificate can still be renewed.",
)
@click.option(
    "--second-steps",
    callback=_steps,
    help="What an administrator's second step may be, by commas: card, totp, passkey.",
)
@click.option("--tegata/--no-tegata", "way_tegata", default=None, help="Acquire with Tegata.")
@click.option("--est/--no-est", "way_est", default=None, help="Acquire with any EST client.")
@click.option(
    "--browser/--no-browser", "way_browser", default=None, help="Acquire in the browser; the key is exportable."
)
@data_dir_option
@json_option
def set_rules(
    data_dir: Path,
    grace_days: int | None,
    second_steps: frozenset[SecondStep] | None,
    *,
    way_tegata: bool | None,
    way_est: bool | None,
    way_browser: bool | None,
    as_json: bool,
) -> None:
    """Set rules of the bank. A running server follows them from its next start."""
    import getpass

    from sekisho import settings, wiring
    from sekisho.cli.exit_codes import USAGE
    from sekisho.cli.failure import fail, told
    from sekisho.store.audit import Actor
    from sekisho.usecases.change_policy import PolicyChange, change_policy

    grace = None if grace_days is None else timedelta(days=grace_days)
    change = PolicyChange(grace, second_steps, way_tegata, way_est, way_browser)
    if change == PolicyChange():
        fail("name at least one rule", USAGE)
    with told():
        installed = settings.load(data_dir)
        with wiring.open_ports(installed) as ports:
            actor = Actor(f"operator:{getpass.getuser()}")
            changed = change_policy(ports, bank=wiring.load_bank(installed, ports).code, change=change, actor=actor)
    _print(changed, as_json=as_json)
    click.echo("A server that is running follows this from its next start.", err=True)


def _print(shown: Policy, *, as_json: bool) -> None:
    from sekisho.usecases.change_policy import stored_rules

    rules = stored_rules(shown)
    if as_json:
        click.echo(json.dumps({**rules, "second_steps": str(rules["second_steps"]).split(",")}))
        return
    for name, value in rules.items():
        click.echo(f"{name:<14}{('on' if value else 'off') if isinstance(value, bool) else value}")
