"""The tables of the code are those that the migrations make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from tests.support.world import new_store

from sekisho.store.tables import metadata

if TYPE_CHECKING:
    from pathlib import Path


def test_the_migrations_end_at_the_tables(tmp_path: Path, engine: str) -> None:
    with new_store(tmp_path, engine) as db, db.read() as tx:
        migrated = MigrationContext.configure(tx, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(migrated, metadata) == []


def test_a_table_that_no_migration_made_is_found(tmp_path: Path, engine: str) -> None:
    with new_store(tmp_path, engine) as db:
        db.write(lambda tx: tx.exec_driver_sql("DROP INDEX ix_audit_contract_id"))
        with db.read() as tx:
            found = compare_metadata(MigrationContext.configure(tx), metadata)
    assert [(what, index.name) for what, index in found] == [("add_index", "ix_audit_contract_id")]
