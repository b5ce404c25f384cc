"""The commands of Tegata. Each module that does the work is imported by the command that needs it."""

from __future__ import annotations

import click

from tegata import __version__
from tegata.cli import certificates, doctor, due, stores, window
from tegata.cli.common import help_text, lang_option


@click.group(help=help_text("tegata"), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tegata")
@lang_option
def main() -> None:
    """Be the group: its commands do the work."""


for _command in (
    certificates.acquire,
    certificates.renew,
    stores.list_,
    stores.remove,
    stores.stores,
    doctor.doctor,
    window.gui,
    window.open_,
    window.install_link,
    due.install_timer,
):
    main.add_command(_command)
