"""What people do alone: PINs that are replaced, users with permissions, mailed codes, openings, emergency stops."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sekisho.store.columns import Instant

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("banks", sa.Column("applications", sa.JSON()))
    op.add_column("banks", sa.Column("grace_days", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("contracts", sa.Column("opened_at", Instant(timezone=True)))
    # Contracts from before were opened when they were registered.
    op.execute("UPDATE contracts SET opened_at = registered_at")
    op.add_column("people", sa.Column("stopped_at", Instant(timezone=True)))
    op.add_column("people", sa.Column("deleted_at", Instant(timezone=True)))
    op.add_column("people", sa.Column("applications", sa.JSON()))
    op.add_column("people", sa.Column("mail_confirmed_at", Instant(timezone=True)))
    op.add_column("secrets", sa.Column("provisional_until", Instant(timezone=True)))
    op.add_column("orders", sa.Column("address", sa.String(length=45)))
    op.add_column("orders", sa.Column("computer", sa.Text()))
    op.create_table(
        "past_pins",
        sa.Column("id", _ID, nullable=False),
        sa.Column("person_id", _ID, nullable=False),
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("verifier", sa.Text(), nullable=False),
        sa.Column("replaced_at", Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_past_pins_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_past_pins")),
    )
    op.create_index("ix_past_pins_person_id", "past_pins", ["person_id", "name", "id"])
    op.create_table(
        "mailed_codes",
        sa.Column("id", _ID, nullable=False),
        sa.Column("person_id", _ID, nullable=False),
        sa.Column("purpose", sa.String(length=20), nullable=False),
        sa.Column("permit_id", _ID),
        sa.Column("mail_address", sa.Text(), nullable=False),
        sa.Column("verifier", sa.Text(), nullable=False),
        sa.Column("made_at", Instant(timezone=True), nullable=False),
        sa.Column("expires_at", Instant(timezone=True), nullable=False),
        sa.Column("used_at", Instant(timezone=True)),
        sa.Column("misses", sa.Integer(), nullable=False, server_default="0"),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_mailed_codes_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mailed_codes")),
    )
    op.create_index("ix_mailed_codes_person_id", "mailed_codes", ["person_id", "id"])
