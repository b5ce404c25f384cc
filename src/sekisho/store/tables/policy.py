"""What was decided about a bank's rules, and by whom."""

from __future__ import annotations

from sqlalchemy import JSON, CheckConstraint, Column, ForeignKey, Index, String, Table, Text

from sekisho.store.columns import Instant
from sekisho.store.tables.common import Id, metadata

# Changes of rules that somebody proposes: `rules` by name as they are to be, `was` as they were then. `holds_from` is
# the beginning of the day that was named, null for the moment of the approval. A trigger keeps what was proposed as it
# was written; `ended` is "refused", "withdrawn", or "called-off" where one was approved and held not yet.
policy_proposals = Table(
    "policy_proposals",
    metadata,
    Column("id", Id, primary_key=True),
    Column("bank", String(4), ForeignKey("banks.code"), nullable=False),
    Column("rules", JSON, nullable=False),
    Column("was", JSON, nullable=False),
    Column("holds_from", Instant),
    Column("reason", Text, nullable=False),
    Column("proposed_by_id", Id, ForeignKey("staff.id"), nullable=False),
    Column("proposed_with_id", Id, ForeignKey("staff_certificates.id"), nullable=False),
    Column("proposed_at", Instant, nullable=False),
    Column("ended", String(10)),
    Column("ended_by_id", Id, ForeignKey("staff.id", name="fk_policy_proposals_ended_by_id")),
    Column("ended_at", Instant),
    Column("ended_reason", Text),
    CheckConstraint(
        "(ended_at IS NULL) = (ended IS NULL) AND (ended_at IS NULL) = (ended_by_id IS NULL)", name="ended_by_somebody"
    ),
    Index("ix_policy_proposals_bank", "bank", "id"),
    Index("ix_policy_proposals_proposed_by_id", "proposed_by_id"),
    Index("ix_policy_proposals_proposed_with_id", "proposed_with_id"),
    Index("ix_policy_proposals_ended_by_id", "ended_by_id"),
)

# One approval for each proposal, of somebody else; triggers refuse any other, and any change.
policy_approvals = Table(
    "policy_approvals",
    metadata,
    Column("proposal_id", Id, ForeignKey("policy_proposals.id"), primary_key=True, autoincrement=False),
    Column("approved_by_id", Id, ForeignKey("staff.id"), nullable=False),
    Column("approved_with_id", Id, ForeignKey("staff_certificates.id"), nullable=False),
    Column("role_id", Id, ForeignKey("staff_roles.id"), nullable=False),
    Column("approved_at", Instant, nullable=False),
    Column("holds_from", Instant, nullable=False),
    Index("ix_policy_approvals_approved_by_id", "approved_by_id"),
    Index("ix_policy_approvals_approved_with_id", "approved_with_id"),
    Index("ix_policy_approvals_role_id", "role_id"),
)

# What `sekisho policy set` changed; only the tables' owner adds to it. `emergency` is why nobody else was waited for.
policy_commands = Table(
    "policy_commands",
    metadata,
    Column("id", Id, primary_key=True),
    Column("bank", String(4), ForeignKey("banks.code"), nullable=False),
    Column("rules", JSON, nullable=False),
    Column("was", JSON, nullable=False),
    Column("set_by", Text, nullable=False),
    Column("set_at", Instant, nullable=False),
    Column("emergency", Text),
    Index("ix_policy_commands_bank", "bank", "id"),
)
