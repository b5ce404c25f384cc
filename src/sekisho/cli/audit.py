"""`sekisho audit`: list the audit rows, export them for an inspection, and hold an export against the log."""

from __future__ import annotations

import getpass
import json
import os
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sekisho.cli.options import data_dir_option, json_option
from sekisho.cli.printed import opened, pages, print_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sekisho.usecases.export_audit import Export

_PRIVATE = 0o600


class _Day(click.DateTime):
    """A day as the console's search takes it, too."""

    def __init__(self) -> None:
        super().__init__(formats=["%Y-%m-%d"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from sekisho.usecases.search_audit import YEARS

        day = super().convert(value, param, ctx)
        if day.year not in YEARS:
            self.fail(f"{value!r} is no day from {YEARS[0]} to {YEARS[-1]}", param, ctx)
        return day


_DAY = _Day()


@click.group()
def audit() -> None:
    """Read the audit rows, and export them for an inspection."""


@audit.command("list")
@click.option("--contract", help="Only what concerns this contract ID.")
@data_dir_option
@json_option
def list_audit(data_dir: Path, contract: str | None, *, as_json: bool) -> None:
    """List who did what, when, from where and about which certificate."""
    from sekisho.cli.failure import told
    from sekisho.store import audit as store

    with told(), opened(data_dir) as ports:
        rows = pages(ports, lambda tx, after: store.listed(tx, after=after, contract_id=contract), lambda r: r["id"])
        print_rows(rows, as_json=as_json, show=store.shown)


@audit.command()
@click.option("--since", type=_DAY, help="The first day in Japan, such as 2026-11-01.")
@click.option("--until", type=_DAY, help="The last day.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The ZIP file to write.")
@data_dir_option
@json_option
def export(data_dir: Path, output: Path, since: datetime | None, until: datetime | None, *, as_json: bool) -> None:
    """Write the audit rows of a time into a ZIP file, as CSV and as lines of JSON. The last minute is left out."""
    from sekisho import settings
    from sekisho.cli.exit_codes import FOLDER_NOT_WRITABLE
    from sekisho.cli.failure import fail, told
    from sekisho.domain.service_hours import JAPAN
    from sekisho.store.audit import Actor
    from sekisho.usecases.export_audit import begin_export

    with told(), opened(data_dir) as ports:
        try:
            # Of its owner alone, and never over what is there.
            descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
        except OSError as failure:
            fail(f"{output}: {failure.strerror}", FOLDER_NOT_WRITABLE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                begun = begin_export(
                    ports,
                    bank=settings.load(data_dir).bank,
                    actor=Actor(f"operator:{getpass.getuser()}"),
                    since=None if since is None else since.replace(tzinfo=JAPAN),
                    until=None if until is None else until.replace(tzinfo=JAPAN) + timedelta(days=1),
                )
                file.writelines(_with_bar(begun))
        except BaseException:
            output.unlink(missing_ok=True)
            raise
    if as_json:
        click.echo(json.dumps({"rows": begun.rows, "lines_sha256": begun.lines.hexdigest(), "file": str(output)}))
    else:
        click.echo(f"{begun.rows} rows written to {output}")


@audit.command("verify-export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@data_dir_option
@json_option
def verify(file: Path, data_dir: Path, *, as_json: bool) -> None:
    """Hold an export against itself and against the log; name the first thing that does not agree."""
    from sekisho.cli.exit_codes import DO_NOT_AGREE
    from sekisho.cli.failure import fail, told
    from sekisho.usecases.verify_export import DoesNotAgree, verify_export

    with told(), opened(data_dir) as ports:
        try:
            agreed, removed = verify_export(ports, file)
        except DoesNotAgree as differs:
            fail(f"{file}: {differs}", DO_NOT_AGREE)
    if as_json:
        click.echo(json.dumps({"rows": agreed, "removed_since": removed}))
    else:
        click.echo(
            f"{agreed} rows agree" + (f", {removed} are of contracts that were removed since" if removed else "")
        )


def _with_bar(export: Export) -> Iterator[bytes]:
    """Yield the pieces; on a terminal a bar shows how far it is."""
    length = max(export.last - export.first, 1)
    shown = export.first
    with click.progressbar(length=length, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        for piece in export.pieces():
            yield piece
            reached = max(export.reached, shown)
            bar.update(reached - shown)
            shown = reached
