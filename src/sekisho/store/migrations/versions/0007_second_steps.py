"""Keep an administrator's authenticator app and passkeys, and which second steps a bank offers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sekisho.store.columns import Instant

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("banks", sa.Column("second_steps", sa.String(20), nullable=False, server_default="card,totp,passkey"))
    op.add_column("secrets", sa.Column("used_step", sa.BigInteger()))
    op.add_column("sessions", sa.Column("challenge", sa.LargeBinary(32)))
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "passkeys",
        sa.Column("id", number, nullable=False),
        sa.Column("person_id", number, nullable=False),
        sa.Column("label", sa.String(40), nullable=False),
        sa.Column("credential_id", sa.LargeBinary(), nullable=False),
        sa.Column("credential", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("added_at", Instant(timezone=True), nullable=False),
        sa.Column("used_at", Instant(timezone=True)),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name="fk_passkeys_person_id"),
        sa.PrimaryKeyConstraint("id", name="pk_passkeys"),
        sa.UniqueConstraint("credential_id", name="uq_passkeys_credential_id"),
    )
    op.create_index("ix_passkeys_person_id", "passkeys", ["person_id", "id"])
