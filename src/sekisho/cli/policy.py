"""`sekisho policy`: what the bank has set for itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from sekisho.cli.options import data_dir_option, json_option
from sekisho.domain.policy import RULES, RuleOutOfBounds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sekisho.domain.policy import Policy
    from sekisho.domain.second_step import SecondStep


@click.group()
def policy() -> None:
    """Show and set the rules that the bank sets for itself."""


@policy.command("show")
@data_dir_option
@json_option
def show_rules(data_dir: Path, *, as_json: bool) -> None:
    """Print the rules that are in force for the bank now."""
    from sekisho import settings, wiring
    from sekisho.cli.failure import told

    with told():
        installed = settings.load(data_dir)
        with wiring.open_ports(installed) as ports:
            _print(wiring.load_bank(installed, ports).policy, as_json=as_json)


def _steps(_context: click.Context, _option: click.Parameter, typed: str | None) -> frozenset[SecondStep] | None:
    from sekisho.domain.second_step import OF_THE_BANK, SecondStep

    if typed is None:
        return None
    names = [name.strip() for name in typed.split(",")]
    unknown = [name for name in names if name not in OF_THE_BANK]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(OF_THE_BANK)}")
    return frozenset(map(SecondStep, names))


def _rule_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each rule that is a number: --misses-before-closed, --grace-days and so on."""
    for rule in reversed(RULES):
        several = "numbers by commas, each " if rule.several else ""
        command = click.option(
            "--" + rule.name.replace("_", "-"),
            rule.name,
            callback=_numbers if rule.several else None,
            type=str if rule.several else click.IntRange(rule.least, rule.most),
            help=f"{several}{rule.least} to {rule.most}.",
        )(command)
    return command


def _numbers(_context: click.Context, _option: click.Parameter, typed: str | None) -> list[int] | None:
    if typed is None:
        return None
    numbers = [part.strip() for part in typed.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 4 for part in numbers):  # noqa: PLR2004 - three digits are enough
        raise click.BadParameter("numbers by commas are wanted")
    return [int(part) for part in numbers]


@policy.command("set")
@_rule_options
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
@click.option(
    "--renewal-without-pin/--no-renewal-without-pin",
    "renewal_without_pin",
    default=None,
    help="Let agents renew keys that cannot be exported without a PIN; what they get waits for a logon.",
)
@click.option("--key-p384/--no-key-p384", "key_p384", default=None, help="Certify P-384 keys.")
@click.option("--key-rsa/--no-key-rsa", "key_rsa", default=None, help="Certify RSA keys.")
@click.option("--service-hours", help='"always", or like "mon-fri 7:00-23:00; sat,sun,holidays 8:00-21:00".')
@click.option(
    "--emergency",
    metavar="REASON",
    help="Why the bank's two policy keepers are not waited for; on record, and on the page of the rules.",
)
@data_dir_option
@json_option
def set_rules(
    data_dir: Path,
    second_steps: frozenset[SecondStep] | None,
    *,
    way_tegata: bool | None,
    way_est: bool | None,
    way_browser: bool | None,
    emergency: str | None,
    as_json: bool,
    **rules: int | list[int] | str | None,
) -> None:
    """Set rules of the bank; every server follows them within a second.

    Where two policy keepers change the rules at the console, this is for an
    emergency only.
    """
    import getpass

    from sekisho import settings, wiring
    from sekisho.cli.exit_codes import USAGE
    from sekisho.cli.failure import fail, told
    from sekisho.domain.entries import name_problem, one_line
    from sekisho.store.audit import Actor
    from sekisho.usecases.change_policy import CommandNotAllowed, PolicyChange, change_policy
    from sekisho.usecases.propose_policy import LONGEST_REASON

    named = {name: value for name, value in rules.items() if value is not None}
    change = PolicyChange(second_steps, way_tegata, way_est, way_browser, named)
    if change == PolicyChange():
        fail("name at least one rule", USAGE)
    why = None if emergency is None else one_line(emergency)
    if why is not None and name_problem(why, LONGEST_REASON):
        fail(f"--emergency takes a reason of at most {LONGEST_REASON} characters", USAGE)
    with told():
        installed = settings.load(data_dir)
        with wiring.open_ports(installed) as ports:
            actor = Actor(f"operator:{getpass.getuser()}")
            code = wiring.load_bank(installed, ports).code
            try:
                changed = change_policy(ports, bank=code, change=change, actor=actor, emergency=why)
            except (RuleOutOfBounds, CommandNotAllowed) as refused:
                fail(str(refused), USAGE)
    _print(changed.policy, as_json=as_json)
    for name, decision in changed.coming.items():
        click.echo(f"{name} changes again at {decision.holds_from.isoformat()}, as two people decided.", err=True)
    click.echo("A server that is running follows this within a second.", err=True)


def _print(shown: Policy, *, as_json: bool) -> None:
    from sekisho.domain.policy import stored_rules

    rules = stored_rules(shown)
    if as_json:
        click.echo(json.dumps(rules))
        return
    for name, value in rules.items():
        told = ", ".join(map(str, value)) if isinstance(value, list) else value
        click.echo(f"{name:<24}{('on' if value else 'off') if isinstance(value, bool) else told}")
