"""The audit rows of the bank's own people, and those of what happens seldom, are found by indexes of their own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_STAFF = "substr(actor, 1, 6) = 'staff:'"
_SELDOM = (
    "action NOT IN ('logged-on', 'logged-off', 'certificate-ordered', 'certificate-issued', 'renewal-ordered', "
    "'certificate-superseded', 'permit-granted', 'entry-missed', 'acquisition-not-accepted')"
)


def upgrade() -> None:
    for name, column, where in (("staff", "actor", _STAFF), ("seldom", "action", _SELDOM)):
        op.create_index(
            f"ix_audit_{name}",
            "audit",
            ["bank", column, "id"],
            sqlite_where=sa.text(where),
            postgresql_where=sa.text(where),
        )
