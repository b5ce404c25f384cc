"""The tables of the first journey."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sekisho.store.columns import Instant, Serial

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", Instant(timezone=True), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("bank", sa.String(length=4), nullable=True),
        sa.Column("contract_id", sa.String(length=11), nullable=True),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("address", sa.String(length=45), nullable=True),
        sa.Column("person_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("serial", Serial(length=32), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.create_index("ix_audit_contract_id", ["bank", "contract_id", "id"], unique=False)
        batch_op.create_index("ix_audit_serial", ["serial"], unique=False)

    op.create_table(
        "banks",
        sa.Column("code", sa.String(length=4), nullable=False),
        sa.Column("name_ja", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=False),
        sa.Column("service_name_ja", sa.Text(), nullable=False),
        sa.Column("service_name_en", sa.Text(), nullable=False),
        sa.Column("help_desk_phone", sa.Text(), nullable=False),
        sa.Column("help_desk_hours_ja", sa.Text(), nullable=False),
        sa.Column("help_desk_hours_en", sa.Text(), nullable=False),
        sa.Column("way_tegata", sa.Boolean(), nullable=False),
        sa.Column("way_est", sa.Boolean(), nullable=False),
        sa.Column("way_browser", sa.Boolean(), nullable=False),
        sa.Column("registered_at", Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_banks")),
    )
    op.create_table(
        "people",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("bank", sa.String(length=4), nullable=False),
        sa.Column("contract_id", sa.String(length=11), nullable=False),
        sa.Column("user_id", sa.String(length=30), nullable=True),
        sa.Column("user_key", sa.String(length=30), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("mail_address", sa.Text(), nullable=True),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("registered_at", Instant(timezone=True), nullable=False),
        sa.Column("closed_at", Instant(timezone=True), nullable=True),
        sa.CheckConstraint("user_key = lower(coalesce(user_id, ''))", name=op.f("ck_people_user_key_is_lower")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_people")),
        sa.UniqueConstraint("bank", "contract_id", "user_key", name=op.f("uq_people_bank_contract_id_user_key")),
    )
    op.create_table(
        "contracts",
        sa.Column("bank", sa.String(length=4), nullable=False),
        sa.Column("contract_id", sa.String(length=11), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("registered_at", Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["bank"], ["banks.code"], name=op.f("fk_contracts_bank")),
        sa.PrimaryKeyConstraint("bank", "contract_id", name=op.f("pk_contracts")),
    )
    op.create_table(
        "crls",
        sa.Column("bank", sa.String(length=4), nullable=False),
        sa.Column("kind", sa.String(length=13), nullable=False),
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("der", sa.LargeBinary(), nullable=False),
        sa.Column("this_update", Instant(timezone=True), nullable=False),
        sa.Column("next_update", Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["bank"], ["banks.code"], name=op.f("fk_crls_bank")),
        sa.PrimaryKeyConstraint("bank", "kind", name=op.f("pk_crls")),
    )
    op.create_table(
        "notices",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("person_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", Instant(timezone=True), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("read_at", Instant(timezone=True), nullable=True),
        sa.Column("mailed_at", Instant(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_notices_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
    )
    with op.batch_alter_table("notices", schema=None) as batch_op:
        batch_op.create_index("ix_notices_mailed_at", ["mailed_at", "id"], unique=False)
        batch_op.create_index("ix_notices_person_id", ["person_id", "id"], unique=False)

    op.create_table(
        "permits",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("person_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("granted_at", Instant(timezone=True), nullable=False),
        sa.Column("expires_at", Instant(timezone=True), nullable=False),
        sa.Column("spent_at", Instant(timezone=True), nullable=True),
        sa.Column("withdrawn_at", Instant(timezone=True), nullable=True),
        sa.Column("misses", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_permits_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_permits")),
    )
    with op.batch_alter_table("permits", schema=None) as batch_op:
        batch_op.create_index("ix_permits_person_id", ["person_id", "id"], unique=False)

    op.create_table(
        "secrets",
        sa.Column("person_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("verifier", sa.Text(), nullable=False),
        sa.Column("misses", sa.Integer(), server_default="0", nullable=False),
        sa.Column("asked", sa.String(length=20), nullable=True),
        sa.Column("set_at", Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_secrets_person_id")),
        sa.PrimaryKeyConstraint("person_id", "name", name=op.f("pk_secrets")),
    )
    op.create_table(
        "orders",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("person_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("permit_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("renews_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("kind", sa.String(length=13), nullable=False),
        sa.Column("common_name", sa.String(length=64), nullable=False),
        sa.Column("serial", Serial(length=32), nullable=False),
        sa.Column("spki_sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("spki", sa.LargeBinary(), nullable=False),
        sa.Column("not_before", Instant(timezone=True), nullable=False),
        sa.Column("not_after", Instant(timezone=True), nullable=False),
        sa.Column("held", sa.String(length=17), nullable=False),
        sa.Column("ordered_at", Instant(timezone=True), nullable=False),
        sa.Column("voided_at", Instant(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["permit_id"], ["permits.id"], name=op.f("fk_orders_permit_id")),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_orders_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sa.UniqueConstraint("permit_id", name=op.f("uq_orders_permit_id")),
        sa.UniqueConstraint("serial", name=op.f("uq_orders_serial")),
        sa.UniqueConstraint("spki_sha256", name=op.f("uq_orders_spki_sha256")),
    )
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.create_index("ix_orders_person_id", ["person_id"], unique=False)

    op.create_table(
        "certificates",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("order_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("person_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=13), nullable=False),
        sa.Column("serial", Serial(length=32), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(length=32), nullable=False),
        sa.Column("der", sa.LargeBinary(), nullable=False),
        sa.Column("not_before", Instant(timezone=True), nullable=False),
        sa.Column("not_after", Instant(timezone=True), nullable=False),
        sa.Column("held", sa.String(length=17), nullable=False),
        sa.Column("issued_at", Instant(timezone=True), nullable=False),
        sa.Column("ended_at", Instant(timezone=True), nullable=True),
        sa.Column("ending", sa.String(length=10), nullable=True),
        sa.Column("reason", sa.String(length=24), nullable=True),
        sa.Column("supersedes", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("first_logon_at", Instant(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_certificates_order_id")),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_certificates_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_certificates")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_certificates_fingerprint")),
        sa.UniqueConstraint("kind", "serial", name=op.f("uq_certificates_kind_serial")),
        sa.UniqueConstraint("order_id", name=op.f("uq_certificates_order_id")),
    )
    with op.batch_alter_table("certificates", schema=None) as batch_op:
        batch_op.create_index("ix_certificates_ended_at", ["kind", "ended_at"], unique=False)
        batch_op.create_index("ix_certificates_person_id", ["person_id", "id"], unique=False)
        batch_op.create_index("ix_certificates_supersedes", ["supersedes"], unique=False)

    op.create_table(
        "sessions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("token_sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("person_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("certificate_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("address", sa.String(length=45), nullable=False),
        sa.Column("opened_at", Instant(timezone=True), nullable=False),
        sa.Column("seen_at", Instant(timezone=True), nullable=False),
        sa.Column("positions", sa.String(length=20), nullable=False),
        sa.Column("completed_at", Instant(timezone=True), nullable=True),
        sa.Column("ended_at", Instant(timezone=True), nullable=True),
        sa.Column("end", sa.String(length=12), nullable=True),
        sa.ForeignKeyConstraint(["certificate_id"], ["certificates.id"], name=op.f("fk_sessions_certificate_id")),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_sessions_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_sessions_token_sha256")),
    )
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.create_index("ix_sessions_open_certificate_id", ["certificate_id", "ended_at"], unique=False)
        batch_op.create_index("ix_sessions_person_id", ["person_id", "completed_at"], unique=False)

    # An audit row stands as it was written, and a certificate's bytes and end
    # are for good: the database itself refuses anything else.
    if op.get_bind().dialect.name == "sqlite":
        _guard_in_sqlite()
    else:
        _guard_in_postgresql()


def _guard_in_sqlite() -> None:
    for action in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_refuses_{action.lower()} BEFORE {action} ON audit "
            "BEGIN SELECT RAISE(ABORT, 'audit rows are never changed'); END"
        )
    op.execute(
        "CREATE TRIGGER certificates_stay BEFORE UPDATE ON certificates "
        "WHEN NEW.der IS NOT OLD.der OR NEW.serial IS NOT OLD.serial OR NEW.fingerprint IS NOT OLD.fingerprint "
        "OR NEW.person_id IS NOT OLD.person_id OR (OLD.ended_at IS NOT NULL AND NEW.ended_at IS NOT OLD.ended_at) "
        "BEGIN SELECT RAISE(ABORT, 'a certificate is never changed, and ends once'); END"
    )


def _guard_in_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = TG_ARGV[0]; END $$"
    )
    for action in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_refuses_{action.lower()} BEFORE {action} ON audit "
            "FOR EACH ROW EXECUTE FUNCTION refuse('audit rows are never changed')"
        )
    # A row trigger does not see TRUNCATE.
    op.execute(
        "CREATE TRIGGER audit_refuses_truncate BEFORE TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse('audit rows are never changed')"
    )
