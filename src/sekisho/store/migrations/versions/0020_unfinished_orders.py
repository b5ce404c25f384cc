"""The orders whose certificate is not stored yet stand in a table of their own; an index that nobody asks goes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0015"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "unfinished_orders",
        sa.Column(
            "order_id", _ID, sa.ForeignKey("orders.id", name="fk_unfinished_orders_order_id"), autoincrement=False
        ),
        sa.PrimaryKeyConstraint("order_id", name="pk_unfinished_orders"),
    )
    op.execute(
        "INSERT INTO unfinished_orders (order_id) "
        "SELECT id FROM orders WHERE finished_at IS NULL AND refused_at IS NULL"
    )
    op.drop_index("ix_orders_unfinished", "orders")
    op.drop_column("orders", "finished_at")
    op.drop_index("ix_audit_serial", "audit")
