"""Renewals without a PIN."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("orders", sa.Column("unattended", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("certificates", sa.Column("waits_for_logon", sa.Boolean(), nullable=False, server_default=sa.false()))
