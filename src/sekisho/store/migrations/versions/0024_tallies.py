"""Counts for the overview, and an index of the few whose door is shut."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sekisho.store.columns import Instant

revision = "0024"
down_revision = "0026"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_SHUT = "(closed_at IS NOT NULL OR stopped_at IS NOT NULL) AND deleted_at IS NULL"


def upgrade() -> None:
    op.create_table(
        "tallies",
        sa.Column("what", sa.String(20), nullable=False),
        sa.Column("bank", sa.String(4), nullable=False),
        sa.Column("begins_at", Instant(), nullable=False),
        sa.Column("branch", sa.String(3), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["bank"], ["banks.code"], name="fk_tallies_bank"),
        sa.PrimaryKeyConstraint("what", "bank", "begins_at", "branch", name="pk_tallies"),
    )
    op.create_table(
        "tally_places",
        sa.Column("name", sa.String(10), nullable=False),
        sa.Column("reached_id", _ID, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_tally_places"),
    )
    op.create_index("ix_people_shut", "people", ["id"], sqlite_where=sa.text(_SHUT), postgresql_where=sa.text(_SHUT))
