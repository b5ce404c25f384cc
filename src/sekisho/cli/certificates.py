"""`sekisho certificates`: list, revoke, lift, and lint a sample."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from sekisho.cli.options import data_dir_option, json_option
from sekisho.cli.printed import opened, pages, print_rows
from sekisho.domain.certificate import REASONS_OF_PERSONS, Reason

if TYPE_CHECKING:
    from pathlib import Path

    from sekisho.domain.certificate import Certificate
    from sekisho.store.audit import Actor


@click.group()
def certificates() -> None:
    """List and revoke certificates."""


@certificates.command("list")
@data_dir_option
@json_option
def list_certificates(data_dir: Path, *, as_json: bool) -> None:
    """List every certificate in the order of its issue."""
    from sekisho.cli.failure import told
    from sekisho.store import certificates as store

    with told(), opened(data_dir) as ports:
        print_rows(pages(ports, store.listed, lambda c: c.id), as_json=as_json, show=_certificate)


@certificates.command()
@click.option("--sample", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many to look at.")
@data_dir_option
@json_option
def lint(sample: int, data_dir: Path, *, as_json: bool) -> None:
    """Show some of the newest certificates, drawn by chance, to pkilint. The worker does it each hour."""
    from sekisho.cli.exit_codes import DO_NOT_AGREE
    from sekisho.cli.failure import told
    from sekisho.usecases.sample_certificates import sample_certificates

    with told(), opened(data_dir) as ports:
        count, faulty = sample_certificates(ports, actor=_operator(), lately=None, most=sample)
        found = [{"serial": f"{one.certificate.serial:032x}", "findings": list(one.findings)} for one in faulty]
    if as_json:
        click.echo(json.dumps({"looked_at": count, "faulty": found}))
    else:
        click.echo(f"looked at {count}, faulty {len(found)}")
        for one in found:
            click.echo(f"{one['serial']}  {', '.join(one['findings'])}")
    if faulty:
        raise SystemExit(DO_NOT_AGREE)


@certificates.command()
@click.argument("serial")
@click.option(
    "--reason", type=click.Choice([reason.value for reason in REASONS_OF_PERSONS]), default=Reason.UNSPECIFIED.value
)
@data_dir_option
@json_option
def revoke(serial: str, reason: str, data_dir: Path, *, as_json: bool) -> None:
    """Revoke the certificate with SERIAL (hexadecimal) at once; a running server sees it at once.

    For good, but for certificateHold: that suspends it until it is lifted.
    """
    from sekisho.cli.failure import told
    from sekisho.usecases.revoke_certificate import revoke_certificate

    number = _serial(serial)
    with told(), opened(data_dir) as ports:
        revoked = revoke_certificate(ports, serial=number, reason=Reason(reason), actor=_operator())
        print_rows([revoked], as_json=as_json, show=_certificate)


@certificates.command()
@click.argument("serial")
@data_dir_option
@json_option
def lift(serial: str, data_dir: Path, *, as_json: bool) -> None:
    """Lift the suspension (certificateHold) of the certificate with SERIAL (hexadecimal): it counts again at once."""
    from sekisho.cli.failure import told
    from sekisho.usecases.lift_certificate import lift_certificate

    number = _serial(serial)
    with told(), opened(data_dir) as ports:
        print_rows([lift_certificate(ports, serial=number, actor=_operator())], as_json=as_json, show=_certificate)


def _serial(text: str) -> int:
    from sekisho.cli.failure import fail

    try:
        number = int(text.replace(":", "").replace(" ", ""), 16)
    except ValueError:
        number = -1
    if not 0 <= number < 1 << 128:
        fail(f"{text} is not a serial number in hexadecimal digits", 2)
    return number


def _operator() -> Actor:
    import getpass

    from sekisho.store.audit import Actor

    return Actor(f"operator:{getpass.getuser()}")


def _certificate(certificate: Certificate) -> dict[str, Any]:
    return {
        "serial": f"{certificate.serial:032x}",
        "common_name": certificate.person.common_name,
        "kind": certificate.kind.value,
        "not_before": certificate.not_before.isoformat(),
        "not_after": certificate.not_after.isoformat(),
        "held": certificate.held.value,
        # Nothing has proved it yet.
        "held_is": "claimed",
        "state": _state(certificate),
        "ended_at": None if certificate.ended_at is None else certificate.ended_at.isoformat(),
        "reason": None if certificate.reason is None else certificate.reason.value,
        "suspended_at": None if certificate.suspended_at is None else certificate.suspended_at.isoformat(),
    }


def _state(certificate: Certificate) -> str:
    if certificate.ending is not None:
        return certificate.ending.value
    if certificate.issuer_revoked_at is not None:
        return "issuer-revoked"
    if certificate.suspended_at is not None:
        return "suspended"
    now = datetime.now(UTC)
    if now < certificate.not_before:
        return "not-yet-valid"
    return "in-force" if now < certificate.not_after else "expired"
