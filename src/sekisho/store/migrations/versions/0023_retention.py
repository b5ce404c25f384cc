"""Contracts that were removed for good; the guards let go of what belongs to one of them, and of nothing else."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sekisho.store.columns import Instant

revision = "0023"
down_revision = "0017"
branch_labels = None
depends_on = None

_ENDED = "ended_at IS NOT NULL"
# Seven years, two leap days among them: no policy keeps a contract for less.
_LEAST_DAYS = 2557
_OF_PERSON = (
    "SELECT 1 FROM people p JOIN removed_contracts r ON r.bank = p.bank AND r.contract_id = p.contract_id WHERE p.id = "
)
_STAYS = {
    "audit": "SELECT 1 FROM removed_contracts r WHERE r.bank = OLD.bank AND r.contract_id = OLD.contract_id",
    "certificates": f"{_OF_PERSON} OLD.person_id",
    "certificate_bytes": (f"{_OF_PERSON} (SELECT c.person_id FROM certificates c WHERE c.id = OLD.certificate_id)"),
    "form_approvals": (
        "SELECT 1 FROM request_forms f JOIN removed_contracts r "
        "ON r.bank = f.bank AND r.contract_id = f.contract_id WHERE f.id = OLD.form_id"
    ),
}
_GUARDS_BEFORE = {
    "audit": "audit_refuses_delete",
    "certificates": "certificates_refuse_delete",
    "certificate_bytes": "certificate_bytes_refuse_delete",
    "form_approvals": "form_approval_removed",
}
_LONG_AGO = {
    "sqlite": f"julianday(NEW.removed_at) - julianday(c.ended_at) >= {_LEAST_DAYS}",
    "postgresql": f"NEW.removed_at - c.ended_at >= interval '{_LEAST_DAYS} days'",
}


def upgrade() -> None:
    engine = op.get_bind().dialect.name
    op.create_table(
        "removed_contracts",
        sa.Column("bank", sa.String(4), nullable=False),
        sa.Column("contract_id", sa.String(11), nullable=False),
        sa.Column("ended_at", Instant(), nullable=False),
        sa.Column("removed_at", Instant(), nullable=False),
        sa.Column("rows", sa.JSON(), nullable=False),
        sa.Column("audit_sha256", sa.LargeBinary(32), nullable=False),
        sa.ForeignKeyConstraint(["bank"], ["banks.code"], name="fk_removed_contracts_bank"),
        sa.PrimaryKeyConstraint("bank", "contract_id", name="pk_removed_contracts"),
    )
    op.create_index(
        "ix_contracts_ended_at",
        "contracts",
        ["bank", "ended_at"],
        sqlite_where=sa.text(_ENDED),
        postgresql_where=sa.text(_ENDED),
    )
    guard = _guard_in_sqlite if engine == "sqlite" else _guard_in_postgresql
    for table, belongs in _STAYS.items():
        name = _GUARDS_BEFORE[table]
        op.execute(f"DROP TRIGGER {name}" + ("" if engine == "sqlite" else f" ON {table}"))
        guard(f"{table}_stay_until_removed", "DELETE", table, f"NOT EXISTS ({belongs})")
    its = "c.bank = NEW.bank AND c.contract_id = NEW.contract_id"
    guard(
        "contract_kept",
        "INSERT",
        "removed_contracts",
        f"NOT EXISTS (SELECT 1 FROM contracts c WHERE {its} AND {_LONG_AGO[engine]})",
    )
    for action in ("UPDATE", "DELETE"):
        guard(f"removal_stands_{action.lower()}", action, "removed_contracts", "1 = 1")
    again = "EXISTS (SELECT 1 FROM removed_contracts r WHERE r.bank = NEW.bank AND r.contract_id = NEW.contract_id)"
    guard("contract_id_was_given", "INSERT", "contracts", again)


def _guard_in_sqlite(name: str, action: str, table: str, refused: str) -> None:
    op.execute(
        f"CREATE TRIGGER {name} BEFORE {action} ON {table} WHEN {refused} BEGIN SELECT RAISE(ABORT, '{name}'); END"
    )


def _guard_in_postgresql(name: str, action: str, table: str, refused: str) -> None:
    returned = "OLD" if action == "DELETE" else "NEW"
    op.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF {refused} THEN "
        f"RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = '{name}'; END IF; "
        f"RETURN {returned}; END $$"
    )
    op.execute(f"CREATE TRIGGER {name} BEFORE {action} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")
