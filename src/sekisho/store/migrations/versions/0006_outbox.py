"""Keep with each notice how its mail fares: when it is tried next, how often it was, and what was said of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sekisho.store.columns import Instant

revision = "0006"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _outbox()


def _outbox() -> None:
    op.add_column("notices", sa.Column("mail_to", sa.Text()))
    op.add_column("notices", sa.Column("mail_due_at", Instant(timezone=True)))
    op.add_column("notices", sa.Column("mail_tries", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("notices", sa.Column("mail_given_up_at", Instant(timezone=True)))
    op.add_column("notices", sa.Column("mail_said", sa.Text()))
    op.execute("UPDATE notices SET mail_due_at = at WHERE mailed_at IS NULL")
    op.drop_index("ix_notices_unmailed", "notices")
    for name, columns, condition in (
        ("ix_notices_mail_due", ["mail_due_at", "id"], "mail_due_at IS NOT NULL"),
        ("ix_notices_mail_given_up", ["id"], "mail_given_up_at IS NOT NULL"),
    ):
        where = sa.text(condition)
        op.create_index(name, "notices", columns, sqlite_where=where, postgresql_where=where)
