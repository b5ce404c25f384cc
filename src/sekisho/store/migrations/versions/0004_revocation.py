"""Suspend certificates, fix each one's part of the revocation list, and keep what the lists say of it written out."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import sqlalchemy as sa
from alembic import op

from sekisho.domain.certificate import Reason
from sekisho.pki import crl
from sekisho.store.columns import Instant, Serial

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_FIXED = (
    "order_id", "person_id", "kind", "serial", "fingerprint", "not_before", "not_after", "held", "issued_at", "shard",
)  # fmt: skip
_FINAL = ("ended_at", "ending", "reason", "suspended_at")


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    op.execute("DROP TRIGGER certificates_stay" + ("" if sqlite else " ON certificates"))
    op.drop_index("ix_certificates_ended_at", "certificates")
    op.add_column("certificates", sa.Column("suspended_at", Instant(timezone=True)))
    op.add_column("certificates", sa.Column("shard", sa.SmallInteger()))
    op.add_column("orders", sa.Column("shard", sa.SmallInteger()))
    # Lists are made anew within seconds; their numbers come from the clock.
    op.drop_table("crls")
    op.create_table(
        "crls",
        sa.Column("bank", sa.String(4), nullable=False),
        sa.Column("name", sa.String(20), nullable=False),
        sa.Column("number", _Id, nullable=False),
        sa.Column("der", sa.LargeBinary(), nullable=False),
        sa.Column("this_update", Instant(timezone=True), nullable=False),
        sa.Column("next_update", Instant(timezone=True), nullable=False),
        sa.Column("lately", sa.LargeBinary(32), nullable=False),
        sa.ForeignKeyConstraint(["bank"], ["banks.code"], name="fk_crls_bank"),
        sa.PrimaryKeyConstraint("bank", "name", name="pk_crls"),
    )
    entries = op.create_table(
        "crl_entries",
        sa.Column("certificate_id", _Id, autoincrement=False, nullable=False),
        sa.Column("bank", sa.String(4), nullable=False),
        sa.Column("kind", sa.String(13), nullable=False),
        sa.Column("shard", sa.SmallInteger()),
        sa.Column("serial", Serial(32), nullable=False),
        sa.Column("not_after", Instant(timezone=True), nullable=False),
        sa.Column("changed_at", Instant(timezone=True), nullable=False),
        sa.Column("entry", sa.LargeBinary()),
        sa.ForeignKeyConstraint(["certificate_id"], ["certificates.id"], name="fk_crl_entries_certificate_id"),
        sa.PrimaryKeyConstraint("certificate_id", name="pk_crl_entries"),
    )
    _write_entries(entries)
    op.create_index("ix_crl_entries_shard", "crl_entries", ["bank", "kind", "shard"])
    op.create_index("ix_crl_entries_changed_at", "crl_entries", ["bank", "kind", "changed_at"])
    op.create_index("ix_crl_entries_not_after", "crl_entries", ["bank", "kind", "not_after"])
    _guard(sqlite=sqlite)


def _write_entries(entries: sa.Table) -> None:
    """Write out what the lists say of the certificates that have ended."""
    people = sa.table("people", sa.column("id"), sa.column("bank"))
    certificates = sa.table(
        "certificates",
        *(sa.column(name) for name in ("id", "person_id", "kind", "reason")),
        sa.column("serial", Serial(32)),
        sa.column("not_after", Instant(timezone=True)),
        sa.column("ended_at", Instant(timezone=True)),
    )
    c = certificates.c
    ended = sa.select(c.id, people.c.bank, c.kind, c.serial, c.not_after, c.ended_at, c.reason)
    ended = ended.join(people, people.c.id == c.person_id).where(c.ended_at.is_not(None))
    for some in op.get_bind().execute(ended).partitions(10_000):
        op.bulk_insert(entries, [_entry(row) for row in some])


def _entry(row: Any) -> dict[str, Any]:
    return {
        "certificate_id": row.id,
        "bank": row.bank,
        "kind": row.kind,
        "shard": None,
        "serial": row.serial,
        "not_after": row.not_after,
        "changed_at": row.ended_at,
        "entry": crl.entry(row.serial, row.ended_at.astimezone(UTC), Reason(row.reason)),
    }


def _guard(*, sqlite: bool) -> None:
    """Let a certificate be suspended and lifted until it ends, which it does once and for good."""
    differs = "IS NOT" if sqlite else "IS DISTINCT FROM"
    fixed, final = (
        " OR ".join(f"NEW.{column} {differs} OLD.{column}" for column in columns) for columns in (_FIXED, _FINAL)
    )
    changed = f"{fixed} OR (OLD.ended_at IS NOT NULL AND ({final}))"
    told = "a certificate is never changed, and ends once"
    if sqlite:
        op.execute(
            f"CREATE TRIGGER certificates_stay BEFORE UPDATE ON certificates WHEN {changed} "
            f"BEGIN SELECT RAISE(ABORT, '{told}'); END"
        )
    else:
        op.execute(
            f"CREATE TRIGGER certificates_stay BEFORE UPDATE ON certificates FOR EACH ROW "
            f"WHEN ({changed}) EXECUTE FUNCTION refuse('{told}')"
        )
