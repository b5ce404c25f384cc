"""Whom the print file of customer cards is encrypted for; nothing changes what was set, another one is set after it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sekisho.store.columns import Instant

revision = "0031"
down_revision = "0028"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "card_makers",
        sa.Column("id", _ID, nullable=False),
        sa.Column("bank", sa.String(4), nullable=False),
        sa.Column("certificate", sa.Text(), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("set_at", Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["bank"], ["banks.code"], name="fk_card_makers_bank"),
        sa.PrimaryKeyConstraint("id", name="pk_card_makers"),
    )
    op.create_index("ix_card_makers_bank", "card_makers", ["bank", "id"])
    guard = _guard_in_sqlite if op.get_bind().dialect.name == "sqlite" else _guard_in_postgresql
    guard("card_maker_changed", "UPDATE")
    guard("card_maker_removed", "DELETE")


def _guard_in_sqlite(name: str, action: str) -> None:
    op.execute(f"CREATE TRIGGER {name} BEFORE {action} ON card_makers BEGIN SELECT RAISE(ABORT, '{name}'); END")


def _guard_in_postgresql(name: str, action: str) -> None:
    op.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = '{name}'; END $$"
    )
    op.execute(f"CREATE TRIGGER {name} BEFORE {action} ON card_makers FOR EACH ROW EXECUTE FUNCTION {name}()")
