"""`sekisho staff`: who of the bank may use the console, and as what."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sekisho.cli.options import data_dir_option, json_option
from sekisho.cli.printed import print_rows
from sekisho.domain.staff import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sekisho.domain.contract import Bank
    from sekisho.domain.staff import Staff
    from sekisho.settings import Settings
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports

_role = click.Choice([role.value for role in Role])
_by_option = click.option("--by", help="Staff ID of whoever decides it, where that is one of the bank's own people.")
_p12_option = click.option(
    "--p12",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Where the key and the certificate are written; a new file that its owner alone may read.",
)


@click.group()
def staff() -> None:
    """Say who of the bank may use the console, and as what."""


@staff.command()
@click.argument("staff_id")
@click.option("--name", required=True, help="Their name, as the console shows it.")
@click.option("--role", "roles", multiple=True, required=True, type=_role, help="May be given more than once.")
@click.option("--branch", help="Three digits; without it they are of the operations centre.")
@_by_option
@_p12_option
@data_dir_option
@json_option
def add(
    staff_id: str,
    name: str,
    roles: tuple[str, ...],
    branch: str | None,
    by: str | None,
    p12: Path,
    data_dir: Path,
    *,
    as_json: bool,
) -> None:
    """Add STAFF_ID: a PIN and the password of a PKCS #12 file, which are printed once and kept nowhere."""
    from sekisho.usecases.add_staff import NewStaff, add_staff

    new = NewStaff(staff_id, name, branch, [Role(role) for role in roles])
    with _opened(data_dir) as (settings, ports, bank):
        _issue(
            settings,
            bank,
            p12,
            lambda issue: add_staff(ports, bank=bank, new=new, issue=issue, actor=_operator(), by=by),
            as_json=as_json,
        )


@staff.command()
@click.argument("staff_id")
@_p12_option
@data_dir_option
@json_option
def renew(staff_id: str, p12: Path, data_dir: Path, *, as_json: bool) -> None:
    """Give STAFF_ID a new certificate and a new PIN, as after a loss or a lockout; what they had ends at once."""
    from sekisho.usecases.add_staff import renew_staff

    with _opened(data_dir) as (settings, ports, bank):
        _issue(
            settings,
            bank,
            p12,
            lambda issue: renew_staff(ports, bank=bank, staff_id=staff_id, issue=issue, actor=_operator()),
            as_json=as_json,
        )


@staff.command("list")
@data_dir_option
@json_option
def list_staff(data_dir: Path, *, as_json: bool) -> None:
    """List everybody with their roles, who granted each and when; who ended included."""
    from sekisho.cli.printed import pages
    from sekisho.store import staff as store

    with _opened(data_dir) as (_, ports, bank):
        rows = pages(ports, lambda tx, after: store.listed(tx, bank.code, after=after), lambda one: one.id)
        print_rows(rows, as_json=as_json, show=_shown if as_json else _line)


@staff.command()
@click.argument("staff_id")
@click.argument("role", type=_role)
@_by_option
@data_dir_option
@json_option
def grant(staff_id: str, role: str, by: str | None, data_dir: Path, *, as_json: bool) -> None:
    """Grant ROLE to STAFF_ID; it counts from their next request on."""
    from sekisho.usecases.grant_role import grant_role

    with _opened(data_dir) as (_, ports, bank):
        changed = grant_role(ports, bank=bank, staff_id=staff_id, role=Role(role), actor=_operator(), by=by)
        print_rows([changed], as_json=as_json, show=_shown if as_json else _line)


@staff.command()
@click.argument("staff_id")
@click.argument("role", type=_role)
@data_dir_option
@json_option
def withdraw(staff_id: str, role: str, data_dir: Path, *, as_json: bool) -> None:
    """Withdraw ROLE from STAFF_ID; it counts from their next request on."""
    from sekisho.usecases.grant_role import withdraw_role

    with _opened(data_dir) as (_, ports, bank):
        changed = withdraw_role(ports, bank=bank, staff_id=staff_id, role=Role(role), actor=_operator())
        print_rows([changed], as_json=as_json, show=_shown if as_json else _line)


@staff.command()
@click.argument("staff_id")
@data_dir_option
@json_option
def end(staff_id: str, data_dir: Path, *, as_json: bool) -> None:
    """End all that STAFF_ID has: roles, certificates, sessions. The ID is never given again."""
    from sekisho.usecases.grant_role import end_staff

    with _opened(data_dir) as (_, ports, bank):
        ended = end_staff(ports, bank=bank, staff_id=staff_id, actor=_operator())
        print_rows([ended], as_json=as_json, show=_shown if as_json else _line)


@contextmanager
def _opened(data_dir: Path) -> Iterator[tuple[Settings, Ports, Bank]]:
    from sekisho import settings, wiring
    from sekisho.cli.failure import told

    with told():
        loaded = settings.load(data_dir)
        with wiring.open_ports(loaded) as ports:
            yield loaded, ports, wiring.load_bank(loaded, ports)


def _issue(
    settings: Settings,
    bank: Bank,
    p12: Path,
    register: Callable[[Callable[[str], Any]], tuple[Staff, str]],
    *,
    as_json: bool,
) -> None:
    """Have somebody registered with a new key; its file is there before anything is, and goes where nothing was."""
    from sekisho.cli.staff_keys import StaffKey

    made = StaffKey(settings, bank.policy.certificate_life)
    password = ""

    def issue(staff_id: str) -> Any:
        nonlocal password
        certificate = made.issue(staff_id)
        password = made.write_p12(p12, f"{staff_id} {bank.code}")
        return certificate

    try:
        registered, pin = register(issue)
    except BaseException:
        if password:
            p12.unlink(missing_ok=True)
        raise
    told = {"pin": pin, "p12": str(p12), "p12_password": password}
    if as_json:
        click.echo(json.dumps({**_shown(registered), **told}, ensure_ascii=False))
        return
    print_rows([registered], as_json=False, show=_line)
    click.echo(f"PIN {pin}   {p12}   password {password}")
    click.echo("They are shown this once.")


def _shown(one: Staff) -> dict[str, Any]:
    return {
        "staff_id": one.staff_id,
        "name": one.name,
        "branch": one.branch,
        "state": _state(one),
        "registered_at": one.registered_at.isoformat(),
        "roles": [
            {"role": grant.role.value, "granted_by": grant.granted_by, "granted_at": grant.granted_at.isoformat()}
            for grant in one.grants
        ],
    }


def _line(one: Staff) -> dict[str, Any]:
    roles = ", ".join(f"{grant.role.value} (by {grant.granted_by})" for grant in one.grants)
    return {"staff_id": one.staff_id, "name": one.name, "branch": one.branch or "centre", "state": _state(one)} | (
        {"roles": roles} if roles else {}
    )


def _state(one: Staff) -> str:
    if one.ended_at is not None:
        return "ended"
    return "active" if one.closed_at is None else "closed"


def _operator() -> Actor:
    import getpass

    from sekisho.store.audit import Actor

    return Actor(f"operator:{getpass.getuser()}")
