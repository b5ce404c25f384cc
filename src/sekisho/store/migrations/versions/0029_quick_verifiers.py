"""Indexes of the verifiers that are still to be hardened."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0023"
branch_labels = None
depends_on = None

_QUICK = sa.text("substr(verifier, 1, 1) = '~'")


def upgrade() -> None:
    for table in ("secrets", "past_pins"):
        op.create_index(f"ix_{table}_quick", table, ["person_id"], sqlite_where=_QUICK, postgresql_where=_QUICK)
