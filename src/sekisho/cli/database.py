"""`sekisho database`: the tables of a PostgreSQL database, and who may do what with them."""

from __future__ import annotations

import click


@click.group()
def database() -> None:
    """Look after the tables of the PostgreSQL database that SEKISHO_DATABASE_URL names."""


@database.command()
@click.option("--web-role", help="Grant this role what the sites need, and take every other right on the tables away.")
def upgrade(web_role: str | None) -> None:
    """Bring the tables to this version. To be run by the role that owns them, before a newer Sekisho is served."""
    import os

    from sekisho.cli.exit_codes import USAGE
    from sekisho.cli.failure import fail, told
    from sekisho.settings import DATABASE_URL

    address = os.environ.get(DATABASE_URL)
    if not address:
        fail(f"{DATABASE_URL} is not set; SQLite in a data folder is upgraded by whoever serves it", USAGE)
    with told():
        from sekisho import wiring

        version = wiring.upgrade_database(address, web_role)
    click.echo(f"the tables are at version {version}" + (f", and {web_role} may use them" if web_role else ""))
