"""Keep certificates' bytes apart from the small table of what counts; index the few rows that work looks for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sekisho.store.columns import Instant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_UNCHANGED = ("order_id", "person_id", "kind", "serial", "fingerprint", "not_before", "not_after", "held", "issued_at")


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    if sqlite:
        op.execute("DROP TRIGGER certificates_stay")
    op.create_table(
        "certificate_bytes",
        sa.Column(
            "certificate_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("der", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["certificate_id"], ["certificates.id"], name="fk_certificate_bytes_certificate_id"),
        sa.PrimaryKeyConstraint("certificate_id", name="pk_certificate_bytes"),
    )
    op.execute("INSERT INTO certificate_bytes (certificate_id, der) SELECT id, der FROM certificates")
    op.drop_index("ix_certificates_ended_at", "certificates")
    op.drop_index("ix_certificates_supersedes", "certificates")
    op.drop_column("certificates", "der")
    op.add_column("orders", sa.Column("finished_at", Instant(timezone=True)))
    op.execute(
        "UPDATE orders SET finished_at = (SELECT issued_at FROM certificates WHERE certificates.order_id = orders.id)"
    )
    op.drop_index("ix_notices_mailed_at", "notices")
    for name, table, columns, condition in (
        ("ix_certificates_ended_at", "certificates", ["kind", "ended_at"], "ended_at IS NOT NULL"),
        ("ix_certificates_supersedes", "certificates", ["supersedes"], "supersedes IS NOT NULL"),
        ("ix_orders_unfinished", "orders", ["ordered_at"], "finished_at IS NULL"),
        ("ix_notices_unmailed", "notices", ["id"], "mailed_at IS NULL"),
    ):
        where = sa.text(condition)
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
    if sqlite:
        _guard_in_sqlite()
    else:
        _guard_in_postgresql()


def _changed(differs: str) -> str:
    """Return the condition under which a change of a certificate's row is none that is ever made."""
    fixed = " OR ".join(f"NEW.{column} {differs} OLD.{column}" for column in _UNCHANGED)
    return f"{fixed} OR (OLD.ended_at IS NOT NULL AND NEW.ended_at {differs} OLD.ended_at)"


def _guard_in_sqlite() -> None:
    op.execute(
        f"CREATE TRIGGER certificates_stay BEFORE UPDATE ON certificates WHEN {_changed('IS NOT')} "
        "BEGIN SELECT RAISE(ABORT, 'a certificate is never changed, and ends once'); END"
    )
    for table, action in (("certificates", "DELETE"), ("certificate_bytes", "UPDATE"), ("certificate_bytes", "DELETE")):
        op.execute(
            f"CREATE TRIGGER {table}_refuse_{action.lower()} BEFORE {action} ON {table} "
            "BEGIN SELECT RAISE(ABORT, 'a certificate is never changed'); END"
        )


def _guard_in_postgresql() -> None:
    op.execute(
        f"CREATE TRIGGER certificates_stay BEFORE UPDATE ON certificates FOR EACH ROW "
        f"WHEN ({_changed('IS DISTINCT FROM')}) "
        "EXECUTE FUNCTION refuse('a certificate is never changed, and ends once')"
    )
    for table, action in (("certificates", "DELETE"), ("certificate_bytes", "UPDATE"), ("certificate_bytes", "DELETE")):
        op.execute(
            f"CREATE TRIGGER {table}_refuse_{action.lower()} BEFORE {action} ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse('a certificate is never changed')"
        )
