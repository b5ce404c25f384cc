"""What was done, and what people are told."""

from __future__ import annotations

from sqlalchemy import JSON, Column, ForeignKey, Index, Integer, String, Table, Text

from sekisho.store.columns import Instant, Serial
from sekisho.store.tables.common import Id, metadata, where

# What the two indexes of some audit rows hold. The rows of a logon and of an issuance stand in neither, so that these
# cost what they did.
OF_STAFF = "substr(actor, 1, 6) = 'staff:'"
SELDOM = (
    "action NOT IN ('logged-on', 'logged-off', 'certificate-ordered', 'certificate-issued', 'renewal-ordered', "
    "'certificate-superseded', 'permit-granted', 'entry-missed', 'acquisition-not-accepted')"
)

# Who did what, when, from where, about whom and which certificate. Rows are
# only ever added: triggers of the first migration refuse anything else.
audit = Table(
    "audit",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("action", String(40), nullable=False),
    Column("bank", String(4)),
    Column("contract_id", String(11)),
    Column("actor", String(80), nullable=False),
    Column("address", String(45)),
    Column("person_id", Id),
    Column("serial", Serial),
    Column("detail", JSON, nullable=False),
    Index("ix_audit_contract_id", "bank", "contract_id", "id"),
    Index("ix_audit_staff", "bank", "actor", "id", **where(OF_STAFF)),
    Index("ix_audit_seldom", "bank", "action", "id", **where(SELDOM)),
)

# What a person is told: the inbox shows each row, and the same row is mailed. As long as there is something to mail,
# `mail_due_at` is the moment of the next try; who tries takes the row by moving it to the end of a lease. `mail_to`
# stands in place of the person's own address, `mail_said` is what was answered last.
notices = Table(
    "notices",
    metadata,
    Column("id", Id, primary_key=True),
    Column("person_id", Id, ForeignKey("people.id"), nullable=False),
    Column("at", Instant, nullable=False),
    Column("code", String(40), nullable=False),
    Column("detail", JSON, nullable=False),
    Column("read_at", Instant),
    Column("mailed_at", Instant),
    Column("mail_to", Text),
    Column("mail_due_at", Instant),
    Column("mail_tries", Integer, nullable=False, server_default="0"),
    Column("mail_given_up_at", Instant),
    Column("mail_said", Text),
    Index("ix_notices_person_id", "person_id", "id"),
    Index("ix_notices_mail_due", "mail_due_at", "id", **where("mail_due_at IS NOT NULL")),
    Index("ix_notices_mail_given_up", "id", **where("mail_given_up_at IS NOT NULL")),
)

# How far each reminder has come among the certificates in the order of their ends: whatever stands before that was
# told, or had no need to be. `days` before the end is what names a reminder.
reminders = Table(
    "reminders",
    metadata,
    Column("bank", String(4), ForeignKey("banks.code"), primary_key=True),
    Column("days", Integer, primary_key=True, autoincrement=False),
    Column("reached_at", Instant, nullable=False),
    Column("reached_id", Id, nullable=False),
)
