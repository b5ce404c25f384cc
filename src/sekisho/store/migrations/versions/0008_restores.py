"""Remember that a database is older than what the CA's journal knows, until that is put right."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sekisho.store.columns import Instant

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "restores",
        sa.Column("bank", sa.String(4), nullable=False),
        sa.Column("found_at", Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["bank"], ["banks.code"], name="fk_restores_bank"),
        sa.PrimaryKeyConstraint("bank", name="pk_restores"),
    )
