"""Issuing CAs that the root revoked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sekisho.store.columns import Instant, Serial

revision = "0027"
down_revision = "0025"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "revoked_cas",
        sa.Column("bank", sa.String(4), nullable=False),
        sa.Column("kind", sa.String(13), nullable=False),
        sa.Column("generation", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("serial", Serial(), nullable=False),
        sa.Column("revoked_at", Instant(), nullable=False),
        sa.Column("reason", sa.String(24), nullable=False),
        sa.Column("noted_at", Instant(), nullable=False),
        sa.Column("told_upto", _ID, nullable=False, server_default="0"),
        sa.Column("told_at", Instant()),
        sa.ForeignKeyConstraint(["bank"], ["banks.code"], name="fk_revoked_cas_bank"),
        sa.PrimaryKeyConstraint("bank", "kind", "generation", name="pk_revoked_cas"),
    )
