"""Index the renewals that were not used yet: the work that ends overlaps looks for them among all certificates."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    where = sa.text("supersedes IS NOT NULL AND first_logon_at IS NULL AND ended_at IS NULL")
    op.create_index(
        "ix_certificates_unused_renewals", "certificates", ["issued_at"], sqlite_where=where, postgresql_where=where
    )
