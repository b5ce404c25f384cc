"""Which ends the CA's journal is still to be told of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sekisho.store.columns import Instant

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_DUE = "journal_due_at IS NOT NULL"


def upgrade() -> None:
    op.add_column("crl_entries", sa.Column("journal_due_at", Instant()))
    op.create_index(
        "ix_crl_entries_journal_due",
        "crl_entries",
        ["journal_due_at"],
        sqlite_where=sa.text(_DUE),
        postgresql_where=sa.text(_DUE),
    )
