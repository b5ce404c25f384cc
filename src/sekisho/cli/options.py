"""Options that many commands have."""

from __future__ import annotations

from pathlib import Path

import click

data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("sekisho-data"),
    show_default=True,
    help="Where the installation keeps everything.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print data as JSON, one object a line.")
