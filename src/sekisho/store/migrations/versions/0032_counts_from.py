"""Since when a renewal counts, where that is later than its issue: the overlap is measured from then."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sekisho.store.columns import Instant

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("certificates", sa.Column("counts_from", Instant(timezone=True), nullable=True))
