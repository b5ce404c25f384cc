"""`sekisho ca revoke`, `root-list`, `status` and the ceremonies of lists: what becomes of issuing CAs."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sekisho.cli.options import data_dir_option, json_option
from sekisho.cli.printed import print_rows
from sekisho.domain.certificate import REASONS_OF_ISSUING_CAS, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sekisho.settings import Settings
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports

# Whoever holds the root's key comes together once in so long at least.
_DAYS = click.IntRange(1, 398)
_reason_option = click.option(
    "--reason",
    type=click.Choice([reason.value for reason in REASONS_OF_ISSUING_CAS]),
    required=True,
    help="Of RFC 5280: cACompromise where the key may be with others.",
)
_days_option = click.option(
    "--days", type=_DAYS, default=365, show_default=True, help="For how long the new list is good."
)
_out_option = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Where the list and the record are put; nothing there is replaced.",
)
_root_option = click.option(
    "--root", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True, help="The root's folder."
)
_last_option = click.option(
    "--last",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The root's last list; what it names stays revoked.",
)


@click.command("revoke")
@_root_option
@_last_option
@click.option(
    "--certificate",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="Certificate of the issuing CA that is to be revoked.",
)
@_reason_option
@_days_option
@_out_option
def revoke_elsewhere(root: Path, last: Path | None, certificate: Path, reason: str, days: int, out: Path) -> None:
    """Have the root revoke an issuing CA: writes the root's next list, for `sekisho ca install`."""
    from sekisho.cli import ceremony_of_lists as script
    from sekisho.cli.failure import told

    with told():
        script.revoke(script.Asked(root, last, days, out), certificate, Reason(reason))


@click.command("list")
@_root_option
@_last_option
@_days_option
@_out_option
def renew_elsewhere(root: Path, last: Path | None, days: int, out: Path) -> None:
    """Have the root sign its next list before the last one ends, for `sekisho ca install`."""
    from sekisho.cli import ceremony_of_lists as script
    from sekisho.cli.failure import told

    with told():
        script.renew(script.Asked(root, last, days, out))


@click.command("revoke")
@click.argument("name")
@_reason_option
@_days_option
@_out_option
@data_dir_option
def revoke_here(name: str, reason: str, days: int, out: Path, data_dir: Path) -> None:
    """Revoke the issuing CA NAME (user, administrator, user2 ...) for good, with two people and the root's key here.

    It counts at once, beside a running server: nobody logs on with a certificate of it any more. Where the root's key
    is elsewhere, `sekisho ca ceremony revoke` does it there.
    """
    from sekisho import settings, wiring
    from sekisho.cli import root_lists
    from sekisho.cli.failure import told

    with told():
        loaded = settings.load(data_dir)
        with wiring.open_ports(loaded) as ports:
            found = root_lists.named(loaded, name)
            root_lists.revoke(loaded, ports, found, Reason(reason), days, out, _operator())
            click.echo(root_lists.said_of(loaded, ports, found))


@click.command("root-list")
@_days_option
@data_dir_option
def renew_here(days: int, data_dir: Path) -> None:
    """Have the root whose key is in the data folder sign its next list, and publish it."""
    from sekisho import settings, wiring
    from sekisho.cli import root_lists
    from sekisho.cli.failure import told

    with told():
        loaded = settings.load(data_dir)
        with wiring.open_ports(loaded) as ports:
            made = root_lists.renew(loaded, ports, days, _operator())
        click.echo(f"list {made.number} is published, and good until {made.next_update:%Y-%m-%d %H:%M} UTC")


@click.command()
@data_dir_option
@json_option
def status(data_dir: Path, *, as_json: bool) -> None:
    """List the root and the issuing CAs, which of them signs, which are revoked, and until when the root's list is."""
    from sekisho import settings, wiring
    from sekisho.cli.failure import told

    with told():
        loaded = settings.load(data_dir)
        with wiring.open_ports(loaded) as ports:
            print_rows(_standing(loaded, ports), as_json=as_json, show=lambda row: row)


def _standing(loaded: Settings, ports: Ports) -> Iterator[dict[str, Any]]:
    from sekisho.ca import keys
    from sekisho.pki import hierarchy
    from sekisho.store import revoked_cas
    from sekisho.usecases.take_root_list import ends_of_root_list

    ends = ends_of_root_list(ports, bank=loaded.bank)
    with ports.db.read() as tx:
        revoked = revoked_cas.of_bank(tx, loaded.bank)
    cas = keys.installed(loaded.ca_dir)
    newest = {max(one for one in cas if one.kind is kind) for kind in {one.kind for one in cas}}
    root = keys.load_certificate(loaded.ca_dir, hierarchy.ROOT)
    yield {
        "name": hierarchy.ROOT,
        "serial": f"{root.serial_number:032x}",
        "not_after": root.not_valid_after_utc.isoformat(),
        "state": "no list" if ends is None else f"list until {ends.isoformat()}",
    }
    for one in cas:
        certificate = keys.load_certificate(loaded.ca_dir, one.name)
        found = revoked.get(one)
        yield {
            "name": one.name,
            "serial": f"{certificate.serial_number:032x}",
            "not_after": certificate.not_valid_after_utc.isoformat(),
            "state": "revoked" if found is not None else "signs" if one in newest else "followed",
            "revoked_at": None if found is None else found.revoked[0].isoformat(),
            "reason": None if found is None else found.revoked[1].value,
        }


def _operator() -> Actor:
    from sekisho.store.audit import Actor

    return Actor(f"operator:{getpass.getuser()}")
