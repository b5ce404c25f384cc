"""Scans of request forms' papers: nothing changes them, and they go with their contract or where none came of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sekisho.store.columns import Instant

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_REFUSED_OPENING = "contract_id IS NULL AND state IN ('returned', 'withdrawn')"
_GOES = (
    "SELECT 1 FROM request_forms f LEFT JOIN removed_contracts r ON r.bank = f.bank AND r.contract_id = f.contract_id "
    "WHERE f.id = OLD.form_id AND (r.contract_id IS NOT NULL "
    "OR (f.contract_id IS NULL AND f.state IN ('returned', 'withdrawn')))"
)


def upgrade() -> None:
    engine = op.get_bind().dialect.name
    op.create_table(
        "form_scans",
        sa.Column("id", _ID, nullable=False),
        sa.Column("form_id", _ID, nullable=False),
        sa.Column("kind", sa.String(4), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("added_by_id", _ID, nullable=False),
        sa.Column("added_at", Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["form_id"], ["request_forms.id"], name="fk_form_scans_form_id"),
        sa.ForeignKeyConstraint(["added_by_id"], ["staff.id"], name="fk_form_scans_added_by_id"),
        sa.PrimaryKeyConstraint("id", name="pk_form_scans"),
    )
    op.create_index("ix_form_scans_form_id", "form_scans", ["form_id", "id"])
    op.create_index("ix_form_scans_added_by_id", "form_scans", ["added_by_id"])
    op.create_index(
        "ix_request_forms_refused_openings",
        "request_forms",
        ["moved_at"],
        sqlite_where=sa.text(_REFUSED_OPENING),
        postgresql_where=sa.text(_REFUSED_OPENING),
    )
    guard = _guard_in_sqlite if engine == "sqlite" else _guard_in_postgresql
    guard("form_scans_stay_as_they_are", "UPDATE", "1 = 1")
    guard("form_scans_stay_until_removed", "DELETE", f"NOT EXISTS ({_GOES})")


def _guard_in_sqlite(name: str, action: str, refused: str) -> None:
    op.execute(
        f"CREATE TRIGGER {name} BEFORE {action} ON form_scans WHEN {refused} BEGIN SELECT RAISE(ABORT, '{name}'); END"
    )


def _guard_in_postgresql(name: str, action: str, refused: str) -> None:
    returned = "OLD" if action == "DELETE" else "NEW"
    op.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF {refused} THEN "
        f"RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = '{name}'; END IF; "
        f"RETURN {returned}; END $$"
    )
    op.execute(f"CREATE TRIGGER {name} BEFORE {action} ON form_scans FOR EACH ROW EXECUTE FUNCTION {name}()")
