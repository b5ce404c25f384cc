"""Open the database that an installation is told to use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.store.postgresql import PostgresDatabase, read_url
from sekisho.store.sqlite import SqliteDatabase

if TYPE_CHECKING:
    from pathlib import Path

    from sekisho.store.database import Database


def open_database(file: Path, url: str | None) -> Database:
    """Return the PostgreSQL database at `url`, or without one the SQLite database in `file`. Raises ValueError."""
    return SqliteDatabase(file) if url is None else PostgresDatabase(read_url(url))
