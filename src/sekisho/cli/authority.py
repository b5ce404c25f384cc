"""`sekisho ca`: the signing process, and what its operators do with it."""

from __future__ import annotations

import getpass
import json
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sekisho.cli.options import data_dir_option, json_option

if TYPE_CHECKING:
    from collections.abc import Callable

_FILE = click.Path(path_type=Path, dir_okay=False, resolve_path=True)


def ca_keys_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say where the CA's keys are, which it gets as `ca_keys`."""

    @wraps(command)
    def with_keys(
        *,
        ca_passphrase_file: Path | None,
        token_module: Path | None,
        token_label: str | None,
        token_pin_file: Path | None,
        **others: Any,
    ) -> None:
        from sekisho.cli.failure import fail
        from sekisho.settings import CaSettings, TokenSettings

        token = None
        if token_module or token_label or token_pin_file:
            if not (token_module and token_label and token_pin_file):
                fail("--token-module, --token-label and --token-pin-file go together", 2)
            token = TokenSettings(module=token_module, label=token_label, pin_file=token_pin_file)
        command(ca_keys=CaSettings(passphrase_file=ca_passphrase_file, token=token), **others)

    for option in (
        click.option("--token-pin-file", type=_FILE, help="File with the token's user PIN."),
        click.option("--token-label", help="Label of the token."),
        click.option("--token-module", type=_FILE, help="PKCS#11 module of the token that makes the CA's keys."),
        click.option(
            "--ca-passphrase-file", type=_FILE, help="Encrypt the CA's keys with the passphrase in this file."
        ),
    ):
        with_keys = option(with_keys)
    return with_keys


@click.group(invoke_without_command=True)
@data_dir_option
@click.option(
    "--socket",
    "socket_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Run apart and answer here until SIGTERM.",
)
@click.option("--allow", "allowed", multiple=True, metavar="USER", help="Also answer this user of the machine.")
@click.pass_context
def ca(context: click.Context, data_dir: Path, socket_file: Path | None, allowed: tuple[str, ...]) -> None:
    """Be the signing process.

    Without --socket it is what `sekisho serve` starts by itself, and ends with whoever started it.
    """
    if context.invoked_subcommand is not None:
        return
    from sekisho import settings
    from sekisho.cli import running_ca
    from sekisho.cli.failure import fail, told

    if allowed and socket_file is None:
        fail("--allow goes with --socket", 2)
    with told():
        loaded = settings.load(data_dir)
        if socket_file is None:
            running_ca.run_ca(loaded)
        else:
            running_ca.run_ca_apart(loaded, socket_file, allowed)


@ca.command("encrypt-keys")
@data_dir_option
def encrypt_keys(data_dir: Path) -> None:
    """Encrypt the CA's keys in files with the passphrase in the file that [ca] passphrase_file names."""
    from sekisho import settings, wiring_ca
    from sekisho.ca import keys
    from sekisho.cli.failure import told

    with told():
        loaded = settings.load(data_dir)
        passphrase = wiring_ca.ca_passphrase(loaded)
        if passphrase is None:
            raise settings.DataFolderDamaged(f"{loaded.data_dir / settings.FILE}: [ca] passphrase_file is not set")
        for file in keys.encrypt(loaded.ca_dir, passphrase):
            click.echo(f"{file} is encrypted")


@ca.group()
def ceremony() -> None:
    """Do with two people what only the root does. For a computer without a network."""


_OUT = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Where files and record are put; nothing there is replaced.",
)


@ceremony.command("root")
@click.option("--bank", required=True, help="The bank's 4-digit code.")
@click.option("--organization", required=True, help="The bank's name in English; it stands in every certificate.")
@_OUT
def make_root(bank: str, organization: str, out: Path) -> None:
    """Make a bank's root."""
    from sekisho.cli import ceremony as script
    from sekisho.cli.failure import fail, told
    from sekisho.pki.profile import BankName

    if not (bank.isascii() and bank.isdigit() and len(bank) == 4):  # noqa: PLR2004 - a bank code
        fail("--bank takes four digits", 2)
    with told():
        script.make_root(BankName(bank, organization), out)


@ceremony.command("sign")
@click.option("--root", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option(
    "--request",
    "requests",
    type=_FILE,
    multiple=True,
    required=True,
    help="A request of an issuing CA; may be repeated.",
)
@click.option("--pki-url", required=True, help="The address of the installation's pki site, as the world sees it.")
@_OUT
def sign_requests(root: Path, requests: tuple[Path, ...], pki_url: str, out: Path) -> None:
    """Have the root sign the requests of issuing CAs."""
    from sekisho.cli import ceremony as script
    from sekisho.cli.failure import told

    with told():
        script.sign_requests(root, requests, pki_url.rstrip("/"), out)


@ca.command()
@click.argument("files", type=_FILE, nargs=-1, required=True)
@data_dir_option
def install(files: tuple[Path, ...], data_dir: Path) -> None:
    """Put FILES, which the root signed for this installation, where they belong.

    Certificates of issuing CAs, and the root's revocation list: what it revokes ends at once.
    """
    from sekisho import settings, wiring
    from sekisho.ca import root_list_file
    from sekisho.cli import installation, root_lists
    from sekisho.cli.failure import told
    from sekisho.store.audit import Actor

    with told():
        loaded = settings.load(data_dir)
        lists = [file for file in files if root_list_file.is_list(file.read_bytes())]
        certificates = [file for file in files if file not in lists]
        for file in installation.install_certificates(loaded, certificates):
            click.echo(f"{file} is in place")
        if lists:
            with wiring.open_ports(loaded) as ports:
                revoked = root_lists.install(loaded, ports, lists, Actor(f"operator:{getpass.getuser()}"))
                click.echo(f"{loaded.ca_dir / root_list_file.NAME} is in place and published")
                for one in revoked:
                    click.echo(root_lists.said_of(loaded, ports, one))


@ca.command()
@data_dir_option
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(["administrator", "user"]),
    multiple=True,
    help="Only the issuing CA for this kind; may be repeated.",
)
def rotate(data_dir: Path, kinds: tuple[str, ...]) -> None:
    """Prepare a new issuing CA beside the present one, for administrators and for users.

    With the root's key in the data folder it is certified at once; else a request for the root is written, and
    `sekisho ca install` brings the certificate back. The CA takes it at its next start.
    """
    from sekisho import settings
    from sekisho.cli import installation
    from sekisho.cli.failure import told
    from sekisho.domain.person import Kind

    with told():
        loaded = settings.load(data_dir)
        for file in installation.rotate(loaded, [kind for kind in Kind if not kinds or kind.value in kinds]):
            waits = "have the root sign it" if file.name.endswith(".csr.pem") else "the CA takes it at its next start"
            click.echo(f"{file} is written; {waits}")


@ca.command()
@data_dir_option
@click.option("--repair", is_flag=True, help="Store what is missing and end what was forgotten, from the journal.")
@click.option("--verify", is_flag=True, help="Also have the CA read its whole journal, which may take minutes.")
@click.option("--partial", is_flag=True, help="This node's journal is one of several: what it lacks is no finding.")
@json_option
def reconcile(data_dir: Path, *, repair: bool, verify: bool, partial: bool, as_json: bool) -> None:
    """Compare orders and certificates with the CA's journal, beside a running server or without one."""
    from sekisho import settings
    from sekisho.cli import exit_codes, running
    from sekisho.cli.failure import told
    from sekisho.store.audit import Actor
    from sekisho.usecases.findings import Tally
    from sekisho.usecases.reconcile import reconcile as compare

    tally, left = Tally(), 0
    with told(), running.with_ca(settings.load(data_dir)) as (ports, loaded):
        if verify:
            running.verify_journal(loaded)
        actor = Actor(f"operator:{getpass.getuser()}")
        for finding in compare(ports, bank=loaded.bank, actor=actor, repair=repair, tally=tally, partial=partial):
            left += not finding.repaired
            shown = {
                "finding": finding.what.value,
                "kind": str(finding.kind),
                "serial": f"{finding.serial:032x}",
                "repaired": finding.repaired,
                "why": finding.why,
            }
            click.echo(json.dumps(shown) if as_json else _line(shown))
    summary = {
        "certificates": tally.certificates,
        "journal": tally.journal,
        "waiting": tally.waiting,
        "disagreements": left,
    }
    if as_json:
        click.echo(json.dumps(summary))
    else:
        click.echo(
            f"{tally.certificates} certificates, {tally.journal} in the journal, {tally.waiting} orders wait, "
            f"{left} do not agree"
        )
    raise SystemExit(exit_codes.DO_NOT_AGREE if left else exit_codes.DONE)


def _line(shown: dict[str, Any]) -> str:
    state = "repaired" if shown["repaired"] else f"not repaired: {shown['why']}" if shown["why"] else ""
    if shown["repaired"] and shown["why"]:
        state += f"; {shown['why']}"
    return "  ".join(part for part in (shown["finding"], shown["kind"], shown["serial"], state) if part)
