"""The bank's own people with their roles, certificates and sessions; contracts by branch and by folded name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sekisho.domain.company_name import search_key
from sekisho.store.columns import Instant, Serial

revision = "0011"
down_revision = "0009"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_AT_ONCE = 1000


def upgrade() -> None:
    op.add_column("contracts", sa.Column("branch", sa.String(3)))
    op.create_index("ix_contracts_branch", "contracts", ["bank", "branch", "contract_id"])
    op.create_table(
        "contract_names",
        sa.Column("bank", sa.String(4), nullable=False),
        sa.Column("key", _BYTEWISE, nullable=False),
        sa.Column("contract_id", sa.String(11), nullable=False),
        sa.Column("branch", sa.String(3)),
        sa.ForeignKeyConstraint(
            ["bank", "contract_id"], ["contracts.bank", "contracts.contract_id"], name="fk_contract_names_contract"
        ),
        sa.PrimaryKeyConstraint("bank", "key", "contract_id", name="pk_contract_names"),
    )
    op.create_index("ix_contract_names_branch", "contract_names", ["bank", "branch", "key", "contract_id"])
    _fold_names()
    _make_staff()


def _fold_names() -> None:
    """Fold the names of the contracts that are there."""
    contracts = sa.table("contracts", sa.column("bank"), sa.column("contract_id"), sa.column("name"))
    names = sa.table("contract_names", sa.column("bank"), sa.column("key"), sa.column("contract_id"))
    bind = op.get_bind()
    last = ("", "")
    while True:
        after = sa.tuple_(contracts.c.bank, contracts.c.contract_id) > sa.tuple_(*map(sa.literal, last))
        some = sa.select(contracts).where(after).order_by(contracts.c.bank, contracts.c.contract_id).limit(_AT_ONCE)
        rows = bind.execute(some).all()
        if not rows:
            return
        folded = [{"bank": row.bank, "contract_id": row.contract_id, "key": search_key(row.name)} for row in rows]
        if named := [one for one in folded if one["key"]]:
            bind.execute(sa.insert(names), named)
        last = (rows[-1].bank, rows[-1].contract_id)


def _make_staff() -> None:
    op.create_table(
        "staff",
        sa.Column("id", _ID, nullable=False),
        sa.Column("bank", sa.String(4), nullable=False),
        sa.Column("staff_id", sa.String(30), nullable=False),
        sa.Column("staff_key", sa.String(30), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("branch", sa.String(3)),
        sa.Column("registered_at", Instant(timezone=True), nullable=False),
        sa.Column("verifier", sa.Text(), nullable=False),
        sa.Column("misses", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("pin_set_at", Instant(timezone=True), nullable=False),
        sa.Column("closed_at", Instant(timezone=True)),
        sa.Column("ended_at", Instant(timezone=True)),
        sa.ForeignKeyConstraint(["bank"], ["banks.code"], name="fk_staff_bank"),
        sa.PrimaryKeyConstraint("id", name="pk_staff"),
        sa.UniqueConstraint("bank", "staff_key", name="uq_staff_bank_staff_key"),
        sa.CheckConstraint("staff_key = lower(staff_id)", name="ck_staff_staff_key_is_lower"),
    )
    op.create_table(
        "staff_roles",
        sa.Column("id", _ID, nullable=False),
        sa.Column("holder_id", _ID, nullable=False),
        sa.Column("role", sa.String(10), nullable=False),
        sa.Column("granted_by", sa.Text(), nullable=False),
        sa.Column("granted_by_id", _ID),
        sa.Column("granted_at", Instant(timezone=True), nullable=False),
        sa.Column("withdrawn_by", sa.Text()),
        sa.Column("withdrawn_at", Instant(timezone=True)),
        sa.ForeignKeyConstraint(["holder_id"], ["staff.id"], name="fk_staff_roles_holder_id"),
        sa.ForeignKeyConstraint(["granted_by_id"], ["staff.id"], name="fk_staff_roles_granted_by_id"),
        sa.PrimaryKeyConstraint("id", name="pk_staff_roles"),
        sa.CheckConstraint(
            "granted_by_id IS NULL OR granted_by_id <> holder_id", name="ck_staff_roles_nobody_grants_to_themselves"
        ),
    )
    op.create_index("ix_staff_roles_holder_id", "staff_roles", ["holder_id", "id"])
    op.create_index("ix_staff_roles_granted_by_id", "staff_roles", ["granted_by_id"])
    held = sa.text("withdrawn_at IS NULL")
    op.create_index(
        "uq_staff_roles_held",
        "staff_roles",
        ["holder_id", "role"],
        unique=True,
        sqlite_where=held,
        postgresql_where=held,
    )
    op.create_table(
        "staff_certificates",
        sa.Column("id", _ID, nullable=False),
        sa.Column("holder_id", _ID, nullable=False),
        sa.Column("serial", Serial(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(32), nullable=False),
        sa.Column("der", sa.LargeBinary(), nullable=False),
        sa.Column("not_before", Instant(timezone=True), nullable=False),
        sa.Column("not_after", Instant(timezone=True), nullable=False),
        sa.Column("issued_at", Instant(timezone=True), nullable=False),
        sa.Column("ended_at", Instant(timezone=True)),
        sa.ForeignKeyConstraint(["holder_id"], ["staff.id"], name="fk_staff_certificates_holder_id"),
        sa.PrimaryKeyConstraint("id", name="pk_staff_certificates"),
        sa.UniqueConstraint("serial", name="uq_staff_certificates_serial"),
        sa.UniqueConstraint("fingerprint", name="uq_staff_certificates_fingerprint"),
    )
    op.create_index("ix_staff_certificates_holder_id", "staff_certificates", ["holder_id", "id"])
    op.create_table(
        "staff_sessions",
        sa.Column("id", _ID, nullable=False),
        sa.Column("token_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("holder_id", _ID, nullable=False),
        sa.Column("certificate_id", _ID, nullable=False),
        sa.Column("address", sa.String(45), nullable=False),
        sa.Column("opened_at", Instant(timezone=True), nullable=False),
        sa.Column("seen_at", Instant(timezone=True), nullable=False),
        sa.Column("ended_at", Instant(timezone=True)),
        sa.Column("end", sa.String(12)),
        sa.ForeignKeyConstraint(["holder_id"], ["staff.id"], name="fk_staff_sessions_holder_id"),
        sa.ForeignKeyConstraint(["certificate_id"], ["staff_certificates.id"], name="fk_staff_sessions_certificate_id"),
        sa.PrimaryKeyConstraint("id", name="pk_staff_sessions"),
        sa.UniqueConstraint("token_sha256", name="uq_staff_sessions_token_sha256"),
    )
    op.create_index("ix_staff_sessions_certificate_id", "staff_sessions", ["certificate_id"])
    op.create_index("ix_staff_sessions_holder_id", "staff_sessions", ["holder_id", "id"])
    op.create_index("ix_staff_sessions_opened_at", "staff_sessions", ["opened_at"])
