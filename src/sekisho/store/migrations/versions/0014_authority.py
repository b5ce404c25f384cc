"""Orders that the CA refused."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sekisho.store.columns import Instant

revision = "0014"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("orders", sa.Column("refused_at", Instant()))
    op.drop_index("ix_orders_unfinished", "orders")
    _index("ix_orders_unfinished", "ordered_at", "finished_at IS NULL AND refused_at IS NULL")
    _index("ix_orders_refused", "id", "refused_at IS NOT NULL")


def _index(name: str, column: str, where: str) -> None:
    op.create_index(name, "orders", [column], sqlite_where=sa.text(where), postgresql_where=sa.text(where))
