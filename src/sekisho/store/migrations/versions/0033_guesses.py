"""A count of wrong PINs where somebody would acquire without an open permit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sekisho.store.columns import Instant

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("people", sa.Column("guesses", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("people", sa.Column("guesses_since", Instant(timezone=True)))
