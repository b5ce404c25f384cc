"""Every rule that is a number is a bank's own; the grace period is one of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("banks", sa.Column("rules", sa.JSON(none_as_null=True)))
    banks = sa.table("banks", sa.column("code"), sa.column("grace_days"), sa.column("rules", sa.JSON()))
    bind = op.get_bind()
    for row in bind.execute(sa.select(banks.c.code, banks.c.grace_days).where(banks.c.grace_days > 0)).all():
        bind.execute(banks.update().where(banks.c.code == row.code).values(rules={"grace_days": row.grace_days}))
    op.drop_column("banks", "grace_days")
