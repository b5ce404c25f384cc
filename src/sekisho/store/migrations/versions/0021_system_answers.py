"""What the bank's systems were answered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sekisho.store.columns import Instant

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "system_answers",
        sa.Column("system_id", _ID, sa.ForeignKey("staff.id", name="fk_system_answers_system_id"), autoincrement=False),
        sa.Column("key_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("ref", sa.String(11), nullable=False),
        sa.Column("request_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("answered_at", Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("system_id", "key_sha256", "ref", name="pk_system_answers"),
    )
    op.create_index("ix_system_answers_answered_at", "system_answers", ["answered_at"])
