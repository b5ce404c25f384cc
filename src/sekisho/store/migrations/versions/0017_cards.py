"""Customer cards with their states; what administrators answer from now is a card in use, or a posted one."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

from sekisho.store.columns import Instant

revision = "0017"
down_revision = "0022"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_STATES = ("ordered", "made", "posted", "in_use", "lost", "replaced", "ended")
_AT_ONCE = 1000


def upgrade() -> None:
    op.create_table(
        "cards",
        sa.Column("id", _ID, nullable=False),
        sa.Column("bank", sa.String(4), nullable=False),
        sa.Column("contract_id", sa.String(11), nullable=False),
        sa.Column("number", sa.String(20), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("sealed", sa.Text()),
        sa.Column("moved_at", Instant(), nullable=False),
        sa.Column("expected_at", Instant()),
        *(sa.Column(f"{state}_at", Instant()) for state in _STATES),
        sa.ForeignKeyConstraint(
            ["bank", "contract_id"], ["contracts.bank", "contracts.contract_id"], name="fk_cards_contract"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_cards"),
        sa.UniqueConstraint("number", name="uq_cards_number"),
        sa.CheckConstraint(
            "(sealed IS NOT NULL) = (state IN ('ordered', 'made'))", name="ck_cards_sealed_until_posted"
        ),
    )
    op.create_index("ix_cards_contract", "cards", ["bank", "contract_id", "id"])
    _index("in_use", "contract_id", "state = 'in-use'", unique=True)
    _index("on_its_way", "contract_id", "state IN ('ordered', 'made', 'posted')", unique=True)
    _index("not_posted", "id", "state IN ('ordered', 'made')", unique=False)
    _take_over()


def _index(name: str, column: str, where: str, *, unique: bool) -> None:
    op.create_index(
        f"ix_cards_{name}",
        "cards",
        ["bank", column],
        unique=unique,
        sqlite_where=sa.text(where),
        postgresql_where=sa.text(where),
    )


def _take_over() -> None:
    """Write the card of each contract: in use where it is open, ended where it has ended, posted where it waits."""
    bind = op.get_bind()
    found = sa.text(
        "SELECT p.id, p.bank, p.contract_id, s.set_at, c.opened_at, c.ended_at FROM secrets s "
        "JOIN people p ON p.id = s.person_id JOIN contracts c ON c.bank = p.bank AND c.contract_id = p.contract_id "
        "WHERE s.name = 'card' AND p.id > :after ORDER BY p.id LIMIT :most"
    ).columns(set_at=Instant(), opened_at=Instant(), ended_at=Instant())
    cards = sa.table(
        "cards",
        *(sa.column(name) for name in ("bank", "contract_id", "number", "state")),
        *(sa.column(name, Instant()) for name in ("moved_at", "posted_at", "in_use_at", "ended_at")),
    )
    after = 0
    while rows := bind.execute(found, {"after": after, "most": _AT_ONCE}).all():
        after = rows[-1].id
        bind.execute(
            cards.insert(),
            [
                {
                    "bank": row.bank,
                    "contract_id": row.contract_id,
                    "number": f"{secrets.randbits(64):020d}",
                    "state": "ended" if row.ended_at else "in-use" if row.opened_at else "posted",
                    "moved_at": row.ended_at or row.set_at,
                    "posted_at": None if row.opened_at else row.set_at,
                    "in_use_at": row.set_at if row.opened_at else None,
                    "ended_at": row.ended_at,
                }
                for row in rows
            ],
        )
