"""Request forms with their approvals, four eyes kept by triggers; contracts that ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sekisho.store.columns import Instant

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_WAITING = sa.text("state NOT IN ('carried-out', 'returned', 'withdrawn')")

# What is refused, by when it is looked at: the condition under which it is, and what is said then.
_NO_APPROVAL = (
    "NEW.state IN ('approved', 'carried-out') "
    "AND NOT EXISTS (SELECT 1 FROM form_approvals WHERE form_approvals.form_id = NEW.id)"
)
_REWRITTEN = (
    "NEW.bank <> OLD.bank OR NEW.kind <> OLD.kind "
    "OR (OLD.entered_by_id IS NOT NULL "
    "AND (NEW.entered_by_id, NEW.entered_with_id) IS DISTINCT FROM (OLD.entered_by_id, OLD.entered_with_id)) "
    "OR (OLD.seal_checked_by_id IS NOT NULL AND (NEW.seal_checked_by_id, NEW.seal_checked_with_id) "
    "IS DISTINCT FROM (OLD.seal_checked_by_id, OLD.seal_checked_with_id)) "
    "OR OLD.state IN ('carried-out', 'returned', 'withdrawn')"
)
_SAME_EYES = (
    "EXISTS (SELECT 1 FROM request_forms f WHERE f.id = NEW.form_id AND (f.entered_by_id IS NULL "
    "OR NEW.approved_by_id IN (f.entered_by_id, COALESCE(f.seal_checked_by_id, f.entered_by_id)) "
    "OR NEW.approved_with_id IN (f.entered_with_id, COALESCE(f.seal_checked_with_id, f.entered_with_id)))) "
    "OR NOT EXISTS (SELECT 1 FROM staff_certificates c "
    "WHERE c.id = NEW.approved_with_id AND c.holder_id = NEW.approved_by_id) "
    "OR NOT EXISTS (SELECT 1 FROM staff_roles r JOIN request_forms f ON f.id = NEW.form_id "
    "WHERE r.id = NEW.role_id AND r.holder_id = NEW.approved_by_id AND r.role = 'approver' "
    "AND r.withdrawn_at IS NULL AND (r.granted_by_id IS NULL "
    "OR r.granted_by_id NOT IN (f.entered_by_id, COALESCE(f.seal_checked_by_id, f.entered_by_id))))"
)
_GUARDS = (
    ("form_filed_approved", "INSERT", "request_forms", "NEW.state IN ('approved', 'carried-out')"),
    ("form_without_approval", "UPDATE", "request_forms", _NO_APPROVAL),
    ("form_rewritten", "UPDATE", "request_forms", _REWRITTEN),
    ("form_four_eyes", "INSERT", "form_approvals", _SAME_EYES),
    ("form_approval_changed", "UPDATE", "form_approvals", "1 = 1"),
    ("form_approval_removed", "DELETE", "form_approvals", "1 = 1"),
)


def upgrade() -> None:
    op.add_column("contracts", sa.Column("ended_at", Instant(timezone=True)))
    op.create_index("ix_contract_names_contract", "contract_names", ["bank", "contract_id"])
    op.create_table(
        "request_forms",
        sa.Column("id", _ID, nullable=False),
        sa.Column("bank", sa.String(4), nullable=False),
        sa.Column("kind", sa.String(30), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("branch", sa.String(3)),
        sa.Column("contract_id", sa.String(11)),
        sa.Column("user_id", sa.String(30)),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("filed_at", Instant(timezone=True), nullable=False),
        sa.Column("filed_by_id", _ID),
        sa.Column("entered_by_id", _ID),
        sa.Column("entered_with_id", _ID),
        sa.Column("seal_checked_by_id", _ID),
        sa.Column("seal_checked_with_id", _ID),
        sa.Column("moved_at", Instant(timezone=True), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.ForeignKeyConstraint(["bank"], ["banks.code"], name="fk_request_forms_bank"),
        sa.ForeignKeyConstraint(["filed_by_id"], ["people.id"], name="fk_request_forms_filed_by_id"),
        sa.ForeignKeyConstraint(["entered_by_id"], ["staff.id"], name="fk_request_forms_entered_by_id"),
        sa.ForeignKeyConstraint(
            ["entered_with_id"], ["staff_certificates.id"], name="fk_request_forms_entered_with_id"
        ),
        sa.ForeignKeyConstraint(["seal_checked_by_id"], ["staff.id"], name="fk_request_forms_seal_checked_by_id"),
        sa.ForeignKeyConstraint(
            ["seal_checked_with_id"], ["staff_certificates.id"], name="fk_request_forms_seal_checked_with_id"
        ),
        sa.ForeignKeyConstraint(
            ["bank", "contract_id"], ["contracts.bank", "contracts.contract_id"], name="fk_request_forms_contract"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_request_forms"),
    )
    op.create_index("ix_request_forms_contract", "request_forms", ["bank", "contract_id", "id"])
    for name, columns in (("waiting", ["bank", "id"]), ("waiting_branch", ["bank", "branch", "id"])):
        op.create_index(
            f"ix_request_forms_{name}",
            "request_forms",
            columns,
            sqlite_where=_WAITING,
            postgresql_where=_WAITING,
        )
    for column in ("filed_by_id", "entered_by_id", "entered_with_id", "seal_checked_by_id", "seal_checked_with_id"):
        op.create_index(f"ix_request_forms_{column}", "request_forms", [column])
    op.create_table(
        "form_approvals",
        sa.Column("form_id", _ID, autoincrement=False, nullable=False),
        sa.Column("approved_by_id", _ID, nullable=False),
        sa.Column("approved_with_id", _ID, nullable=False),
        sa.Column("role_id", _ID, nullable=False),
        sa.Column("approved_at", Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["form_id"], ["request_forms.id"], name="fk_form_approvals_form_id"),
        sa.ForeignKeyConstraint(["approved_by_id"], ["staff.id"], name="fk_form_approvals_approved_by_id"),
        sa.ForeignKeyConstraint(
            ["approved_with_id"], ["staff_certificates.id"], name="fk_form_approvals_approved_with_id"
        ),
        sa.ForeignKeyConstraint(["role_id"], ["staff_roles.id"], name="fk_form_approvals_role_id"),
        sa.PrimaryKeyConstraint("form_id", name="pk_form_approvals"),
    )
    for column in ("approved_by_id", "approved_with_id", "role_id"):
        op.create_index(f"ix_form_approvals_{column}", "form_approvals", [column])
    for name, action, table, refused in _GUARDS:
        (_guard_in_sqlite if op.get_bind().dialect.name == "sqlite" else _guard_in_postgresql)(
            name, action, table, refused
        )


def _guard_in_sqlite(name: str, action: str, table: str, refused: str) -> None:
    # SQLite's IS NOT takes values that may be null, of rows as well.
    refused = refused.replace("IS DISTINCT FROM", "IS NOT")
    op.execute(
        f"CREATE TRIGGER {name} BEFORE {action} ON {table} WHEN {refused} BEGIN SELECT RAISE(ABORT, '{name}'); END"
    )


def _guard_in_postgresql(name: str, action: str, table: str, refused: str) -> None:
    # A WHEN clause takes no subquery there, so the condition stands in a function.
    returned = "OLD" if action == "DELETE" else "NEW"
    op.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF {refused} THEN "
        f"RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = '{name}'; END IF; "
        f"RETURN {returned}; END $$"
    )
    op.execute(f"CREATE TRIGGER {name} BEFORE {action} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")
