"""Keep with each notice how its mail fares, and what the work that nobody waits for has done already."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sekisho.store.columns import Instant

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _outbox()
    _reminders()


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


def _reminders() -> None:
    op.add_column("permits", sa.Column("reminded_at", Instant(timezone=True)))
    op.add_column("permits", sa.Column("expired_at", Instant(timezone=True)))
    # Nobody is told now of what expired before this version could tell.
    op.execute(
        "UPDATE permits SET expired_at = expires_at "
        "WHERE spent_at IS NULL AND withdrawn_at IS NULL AND expires_at < CURRENT_TIMESTAMP"
    )
    where = sa.text("spent_at IS NULL AND withdrawn_at IS NULL AND expired_at IS NULL")
    op.create_index("ix_permits_open", "permits", ["expires_at"], sqlite_where=where, postgresql_where=where)
    op.create_index("ix_certificates_not_after", "certificates", ["not_after", "id"])
    op.create_index("ix_sessions_opened_at", "sessions", ["opened_at"])
    op.create_table(
        "reminders",
        sa.Column("bank", sa.String(4), nullable=False),
        sa.Column("days", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("reached_at", Instant(timezone=True), nullable=False),
        sa.Column("reached_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["bank"], ["banks.code"], name="fk_reminders_bank"),
        sa.PrimaryKeyConstraint("bank", "days", name="pk_reminders"),
    )
