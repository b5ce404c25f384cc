"""Note which generation of its issuing CA signs an order and signed a certificate."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("orders", "certificates", "crl_entries"):
        op.add_column(table, sa.Column("generation", sa.SmallInteger(), nullable=False, server_default="1"))
