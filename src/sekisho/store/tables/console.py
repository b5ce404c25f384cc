"""The bank's own people, and request forms."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from sekisho.store.columns import Instant, Serial
from sekisho.store.tables.common import Id, metadata, where

_REFUSED_OPENING = "contract_id IS NULL AND state IN ('returned', 'withdrawn')"
_WAITING = "state NOT IN ('carried-out', 'returned', 'withdrawn')"

# What a system of the bank was answered, by the name that it gave its request: a contract's secrets (sealed) or the
# number of a form. `ref` is that contract's ID, or nothing for the request itself. Kept for a day.
system_answers = Table(
    "system_answers",
    metadata,
    Column("system_id", Id, ForeignKey("staff.id"), primary_key=True, autoincrement=False),
    Column("key_sha256", LargeBinary(32), primary_key=True),
    Column("ref", String(11), primary_key=True),
    Column("request_sha256", LargeBinary(32), nullable=False),
    Column("answer", Text, nullable=False),
    Column("answered_at", Instant, nullable=False),
    Index("ix_system_answers_answered_at", "answered_at"),
)

# The bank's own people. `branch` is three digits, null for the operations centre. An ID is never given twice.
staff = Table(
    "staff",
    metadata,
    Column("id", Id, primary_key=True),
    Column("bank", String(4), ForeignKey("banks.code"), nullable=False),
    Column("staff_id", String(30), nullable=False),
    Column("staff_key", String(30), nullable=False),
    Column("name", Text, nullable=False),
    Column("branch", String(3)),
    Column("registered_at", Instant, nullable=False),
    Column("verifier", Text, nullable=False),
    Column("misses", Integer, nullable=False, server_default="0"),
    Column("pin_set_at", Instant, nullable=False),
    Column("closed_at", Instant),
    Column("ended_at", Instant),
    UniqueConstraint("bank", "staff_key"),
    CheckConstraint("staff_key = lower(staff_id)", name="staff_key_is_lower"),
)

# `granted_by` tells who granted it; where that was one of the bank's own people, `granted_by_id` is their row. A role
# that was withdrawn keeps its row.
staff_roles = Table(
    "staff_roles",
    metadata,
    Column("id", Id, primary_key=True),
    Column("holder_id", Id, ForeignKey("staff.id"), nullable=False),
    Column("role", String(10), nullable=False),
    Column("granted_by", Text, nullable=False),
    Column("granted_by_id", Id, ForeignKey("staff.id", name="fk_staff_roles_granted_by_id")),
    Column("granted_at", Instant, nullable=False),
    Column("withdrawn_by", Text),
    Column("withdrawn_at", Instant),
    CheckConstraint("granted_by_id IS NULL OR granted_by_id <> holder_id", name="nobody_grants_to_themselves"),
    Index("ix_staff_roles_holder_id", "holder_id", "id"),
    Index("ix_staff_roles_granted_by_id", "granted_by_id"),
    Index("uq_staff_roles_held", "holder_id", "role", unique=True, **where("withdrawn_at IS NULL")),
)

staff_certificates = Table(
    "staff_certificates",
    metadata,
    Column("id", Id, primary_key=True),
    Column("holder_id", Id, ForeignKey("staff.id"), nullable=False),
    Column("serial", Serial, nullable=False, unique=True),
    Column("fingerprint", LargeBinary(32), nullable=False, unique=True),
    Column("der", LargeBinary, nullable=False),
    Column("not_before", Instant, nullable=False),
    Column("not_after", Instant, nullable=False),
    Column("issued_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Index("ix_staff_certificates_holder_id", "holder_id", "id"),
)

staff_sessions = Table(
    "staff_sessions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("token_sha256", LargeBinary(32), nullable=False, unique=True),
    Column("holder_id", Id, ForeignKey("staff.id"), nullable=False),
    Column("certificate_id", Id, ForeignKey("staff_certificates.id"), nullable=False),
    Column("address", String(45), nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("end", String(12)),
    Index("ix_staff_sessions_certificate_id", "certificate_id"),
    Index("ix_staff_sessions_holder_id", "holder_id", "id"),
    Index("ix_staff_sessions_opened_at", "opened_at"),
)

# Request forms 依頼書. `detail` is what is asked for besides, by the name of the field, and never a secret. Who entered
# one and compared its seal stands with the certificate used; triggers keep both as they were written, and let no form
# be approved or carried out without its row in `form_approvals`.
request_forms = Table(
    "request_forms",
    metadata,
    Column("id", Id, primary_key=True),
    Column("bank", String(4), ForeignKey("banks.code"), nullable=False),
    Column("kind", String(30), nullable=False),
    Column("state", String(20), nullable=False),
    Column("branch", String(3)),
    Column("contract_id", String(11)),
    Column("user_id", String(30)),
    Column("detail", JSON, nullable=False),
    Column("filed_at", Instant, nullable=False),
    Column("filed_by_id", Id, ForeignKey("people.id")),
    Column("entered_by_id", Id, ForeignKey("staff.id")),
    Column("entered_with_id", Id, ForeignKey("staff_certificates.id")),
    Column("seal_checked_by_id", Id, ForeignKey("staff.id")),
    Column("seal_checked_with_id", Id, ForeignKey("staff_certificates.id")),
    Column("moved_at", Instant, nullable=False),
    Column("reason", Text),
    ForeignKeyConstraint(
        ["bank", "contract_id"], ["contracts.bank", "contracts.contract_id"], name="fk_request_forms_contract"
    ),
    Index("ix_request_forms_contract", "bank", "contract_id", "id"),
    Index("ix_request_forms_refused_openings", "moved_at", **where(_REFUSED_OPENING)),
    Index("ix_request_forms_waiting", "bank", "id", **where(_WAITING)),
    Index("ix_request_forms_waiting_branch", "bank", "branch", "id", **where(_WAITING)),
    # Whoever is added to the tables that these name is looked for here by SQLite.
    Index("ix_request_forms_filed_by_id", "filed_by_id"),
    Index("ix_request_forms_entered_by_id", "entered_by_id"),
    Index("ix_request_forms_entered_with_id", "entered_with_id"),
    Index("ix_request_forms_seal_checked_by_id", "seal_checked_by_id"),
    Index("ix_request_forms_seal_checked_with_id", "seal_checked_with_id"),
)

# One approval for each form, of somebody who had no hand in it; triggers refuse any other, and any change.
form_approvals = Table(
    "form_approvals",
    metadata,
    Column("form_id", Id, ForeignKey("request_forms.id"), primary_key=True, autoincrement=False),
    Column("approved_by_id", Id, ForeignKey("staff.id"), nullable=False),
    Column("approved_with_id", Id, ForeignKey("staff_certificates.id"), nullable=False),
    Column("role_id", Id, ForeignKey("staff_roles.id"), nullable=False),
    Column("approved_at", Instant, nullable=False),
    Index("ix_form_approvals_approved_by_id", "approved_by_id"),
    Index("ix_form_approvals_approved_with_id", "approved_with_id"),
    Index("ix_form_approvals_role_id", "role_id"),
)

# Scans of forms' papers, apart from the forms, so that no list of those reads them. `sealed` is the file, encrypted
# under a key that is not here; `sha256` is that of the file itself. None is ever changed, and none removed before its
# form's contract is, or where no contract came of it.
form_scans = Table(
    "form_scans",
    metadata,
    Column("id", Id, primary_key=True),
    Column("form_id", Id, ForeignKey("request_forms.id"), nullable=False),
    Column("kind", String(4), nullable=False),
    Column("size", Integer, nullable=False),
    Column("sha256", LargeBinary(32), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("added_by_id", Id, ForeignKey("staff.id"), nullable=False),
    Column("added_at", Instant, nullable=False),
    Index("ix_form_scans_form_id", "form_id", "id"),
    Index("ix_form_scans_added_by_id", "added_by_id"),
)
