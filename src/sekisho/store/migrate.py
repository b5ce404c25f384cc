"""Bring a database to the tables of this version."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sekisho.store.database import Database


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("sekisho.store") / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def upgrade(db: Database) -> None:
    """Run the migrations that are missing, all in one transaction; where none is, nothing is written."""

    def run(tx: Connection) -> None:
        config = _config()
        config.attributes["connection"] = tx
        command.upgrade(config, "head")

    with db.read() as tx:
        current = is_current(tx)
    if not current:
        db.change_tables(run)


def is_current(tx: Connection) -> bool:
    """Tell whether the database stands at this version's last migration."""
    return MigrationContext.configure(tx).get_current_revision() == head()


def head() -> str | None:
    """Return the name of the last migration."""
    return ScriptDirectory.from_config(_config()).get_current_head()
