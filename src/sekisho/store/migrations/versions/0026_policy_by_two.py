"""A bank's rules are changed by two people, from a moment on; triggers keep four eyes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sekisho.store.columns import Instant

revision = "0026"
down_revision = "0030"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# What is refused, by when it is looked at: the condition under which it is, and what is said then.
_NOT_A_KEEPERS = (
    "NEW.ended_at IS NOT NULL "
    "OR NOT EXISTS (SELECT 1 FROM staff_certificates c JOIN staff s ON s.id = c.holder_id "
    "WHERE c.id = NEW.proposed_with_id AND s.id = NEW.proposed_by_id AND s.bank = NEW.bank) "
    "OR NOT EXISTS (SELECT 1 FROM staff_roles r WHERE r.holder_id = NEW.proposed_by_id AND r.role = 'keeper' "
    "AND r.withdrawn_at IS NULL)"
)
_NO_APPROVAL = "NOT EXISTS (SELECT 1 FROM policy_approvals a WHERE a.proposal_id = NEW.id)"
_REWRITTEN = (
    "OLD.ended_at IS NOT NULL OR NEW.ended_at IS NULL OR NEW.id <> OLD.id "
    "OR (NEW.bank, NEW.holds_from, NEW.reason, NEW.proposed_by_id, NEW.proposed_with_id, NEW.proposed_at) "
    "IS DISTINCT FROM "
    "(OLD.bank, OLD.holds_from, OLD.reason, OLD.proposed_by_id, OLD.proposed_with_id, OLD.proposed_at) "
    "OR CAST(NEW.rules AS TEXT) <> CAST(OLD.rules AS TEXT) OR CAST(NEW.was AS TEXT) <> CAST(OLD.was AS TEXT) "
    "OR NOT COALESCE("
    f"(NEW.ended = 'withdrawn' AND NEW.ended_by_id = NEW.proposed_by_id AND {_NO_APPROVAL}) "
    f"OR (NEW.ended = 'refused' AND NEW.ended_by_id <> NEW.proposed_by_id AND {_NO_APPROVAL}) "
    "OR (NEW.ended = 'called-off' AND EXISTS (SELECT 1 FROM policy_approvals a "
    "WHERE a.proposal_id = NEW.id AND NEW.ended_at < a.holds_from)), 1 = 0)"
)
_SAME_EYES = (
    "NOT EXISTS (SELECT 1 FROM policy_proposals p "
    "JOIN staff s ON s.id = NEW.approved_by_id AND s.bank = p.bank "
    "JOIN staff_certificates c ON c.id = NEW.approved_with_id AND c.holder_id = s.id "
    "JOIN staff_roles r ON r.id = NEW.role_id AND r.holder_id = s.id AND r.role = 'keeper' AND r.withdrawn_at IS NULL "
    "WHERE p.id = NEW.proposal_id AND p.ended_at IS NULL "
    "AND p.proposed_by_id <> NEW.approved_by_id AND p.proposed_with_id <> NEW.approved_with_id "
    "AND (r.granted_by_id IS NULL OR r.granted_by_id <> p.proposed_by_id) "
    "AND NEW.holds_from >= NEW.approved_at AND (p.holds_from IS NULL OR NEW.holds_from >= p.holds_from))"
)
_GUARDS = (
    ("policy_proposed_by_no_keeper", "INSERT", "policy_proposals", _NOT_A_KEEPERS),
    ("policy_proposal_rewritten", "UPDATE", "policy_proposals", _REWRITTEN),
    ("policy_proposal_removed", "DELETE", "policy_proposals", "1 = 1"),
    ("policy_four_eyes", "INSERT", "policy_approvals", _SAME_EYES),
    ("policy_approval_changed", "UPDATE", "policy_approvals", "1 = 1"),
    ("policy_approval_removed", "DELETE", "policy_approvals", "1 = 1"),
    ("policy_command_changed", "UPDATE", "policy_commands", "1 = 1"),
    ("policy_command_removed", "DELETE", "policy_commands", "1 = 1"),
)


def upgrade() -> None:
    op.add_column("banks", sa.Column("policy_version", sa.Integer(), nullable=False, server_default="0"))
    _make_proposals()
    _make_approvals()
    op.create_table(
        "policy_commands",
        sa.Column("id", _ID, nullable=False),
        sa.Column("bank", sa.String(4), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.Column("was", sa.JSON(), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("set_at", Instant(timezone=True), nullable=False),
        sa.Column("emergency", sa.Text()),
        sa.ForeignKeyConstraint(["bank"], ["banks.code"], name="fk_policy_commands_bank"),
        sa.PrimaryKeyConstraint("id", name="pk_policy_commands"),
    )
    op.create_index("ix_policy_commands_bank", "policy_commands", ["bank", "id"])
    for name, action, table, refused in _GUARDS:
        (_guard_in_sqlite if op.get_bind().dialect.name == "sqlite" else _guard_in_postgresql)(
            name, action, table, refused
        )


def _make_proposals() -> None:
    op.create_table(
        "policy_proposals",
        sa.Column("id", _ID, nullable=False),
        sa.Column("bank", sa.String(4), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.Column("was", sa.JSON(), nullable=False),
        sa.Column("holds_from", Instant(timezone=True)),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("proposed_by_id", _ID, nullable=False),
        sa.Column("proposed_with_id", _ID, nullable=False),
        sa.Column("proposed_at", Instant(timezone=True), nullable=False),
        sa.Column("ended", sa.String(10)),
        sa.Column("ended_by_id", _ID),
        sa.Column("ended_at", Instant(timezone=True)),
        sa.Column("ended_reason", sa.Text()),
        sa.ForeignKeyConstraint(["bank"], ["banks.code"], name="fk_policy_proposals_bank"),
        sa.ForeignKeyConstraint(["proposed_by_id"], ["staff.id"], name="fk_policy_proposals_proposed_by_id"),
        sa.ForeignKeyConstraint(
            ["proposed_with_id"], ["staff_certificates.id"], name="fk_policy_proposals_proposed_with_id"
        ),
        sa.ForeignKeyConstraint(["ended_by_id"], ["staff.id"], name="fk_policy_proposals_ended_by_id"),
        sa.CheckConstraint(
            "(ended_at IS NULL) = (ended IS NULL) AND (ended_at IS NULL) = (ended_by_id IS NULL)",
            name="ck_policy_proposals_ended_by_somebody",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_policy_proposals"),
    )
    op.create_index("ix_policy_proposals_bank", "policy_proposals", ["bank", "id"])
    for column in ("proposed_by_id", "proposed_with_id", "ended_by_id"):
        op.create_index(f"ix_policy_proposals_{column}", "policy_proposals", [column])


def _make_approvals() -> None:
    op.create_table(
        "policy_approvals",
        sa.Column("proposal_id", _ID, autoincrement=False, nullable=False),
        sa.Column("approved_by_id", _ID, nullable=False),
        sa.Column("approved_with_id", _ID, nullable=False),
        sa.Column("role_id", _ID, nullable=False),
        sa.Column("approved_at", Instant(timezone=True), nullable=False),
        sa.Column("holds_from", Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["proposal_id"], ["policy_proposals.id"], name="fk_policy_approvals_proposal_id"),
        sa.ForeignKeyConstraint(["approved_by_id"], ["staff.id"], name="fk_policy_approvals_approved_by_id"),
        sa.ForeignKeyConstraint(
            ["approved_with_id"], ["staff_certificates.id"], name="fk_policy_approvals_approved_with_id"
        ),
        sa.ForeignKeyConstraint(["role_id"], ["staff_roles.id"], name="fk_policy_approvals_role_id"),
        sa.PrimaryKeyConstraint("proposal_id", name="pk_policy_approvals"),
    )
    for column in ("approved_by_id", "approved_with_id", "role_id"):
        op.create_index(f"ix_policy_approvals_{column}", "policy_approvals", [column])


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
