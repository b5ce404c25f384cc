"""`sekisho ca`: the signing process, and what its operators do with it."""

from __future__ import annotations

from pathlib import Path

import click

from sekisho.cli.options import data_dir_option


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
    from sekisho.cli import installation
    from sekisho.cli.failure import fail, told

    if allowed and socket_file is None:
        fail("--allow goes with --socket", 2)
    with told():
        loaded = settings.load(data_dir)
        if socket_file is None:
            installation.run_ca(loaded)
        else:
            installation.run_ca_apart(loaded, socket_file, allowed)
