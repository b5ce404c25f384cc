"""From a permit to what revocation lists say."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from sekisho.store.columns import Instant, Serial
from sekisho.store.tables.common import Id, metadata, where

permits = Table(
    "permits",
    metadata,
    Column("id", Id, primary_key=True),
    Column("person_id", Id, ForeignKey("people.id"), nullable=False),
    Column("granted_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("spent_at", Instant),
    Column("withdrawn_at", Instant),
    Column("misses", Integer, nullable=False, server_default="0"),
    Column("reminded_at", Instant),
    Column("expired_at", Instant),
    Index("ix_permits_person_id", "person_id", "id"),
    # `expired_at` is when an end by time was seen and told: what is left are the few that are open.
    Index("ix_permits_open", "expires_at", **where("spent_at IS NULL AND withdrawn_at IS NULL AND expired_at IS NULL")),
)

# An order stands before its certificate is signed: after a crash this table
# names every certificate that may exist. A permit gives one order, a key one
# order for ever, and the database itself holds both rules.
orders = Table(
    "orders",
    metadata,
    Column("id", Id, primary_key=True),
    Column("person_id", Id, ForeignKey("people.id"), nullable=False),
    Column("permit_id", Id, ForeignKey("permits.id"), unique=True),
    Column("renews_id", Id),
    Column("kind", String(13), nullable=False),
    Column("common_name", String(64), nullable=False),
    Column("serial", Serial, nullable=False, unique=True),
    Column("spki_sha256", LargeBinary(32), nullable=False, unique=True),
    Column("spki", LargeBinary, nullable=False),
    Column("not_before", Instant, nullable=False),
    Column("not_after", Instant, nullable=False),
    Column("held", String(17), nullable=False),
    Column("ordered_at", Instant, nullable=False),
    # Where it was asked for, and what the person calls that computer.
    Column("address", String(45)),
    Column("computer", Text),
    Column("voided_at", Instant),
    # The part of the revocation list that the certificate names, which is among what decides its bytes.
    Column("shard", SmallInteger),
    # Of the issuing CA that signs it.
    Column("generation", SmallInteger, nullable=False, server_default="1"),
    # The CA would not sign it, so no certificate comes of it.
    Column("refused_at", Instant),
    # A renewal for which no PIN was entered.
    Column("unattended", Boolean, nullable=False, server_default=false()),
    Index("ix_orders_person_id", "person_id"),
    Index("ix_orders_refused", "id", **where("refused_at IS NOT NULL")),
)

# The few orders whose certificate is not stored yet. A table of their own: a
# mark on the order would write all of its index entries a second time.
unfinished_orders = Table(
    "unfinished_orders",
    metadata,
    Column("order_id", Id, ForeignKey("orders.id"), primary_key=True, autoincrement=False),
)

# The small table of the doors and of OCSP: which certificates there are (issuing
# CA by kind, serial, fingerprint) and whether they count. Their bytes, five times
# as large, stand apart, so that this one stays in memory.
certificates = Table(
    "certificates",
    metadata,
    Column("id", Id, primary_key=True),
    Column("order_id", Id, ForeignKey("orders.id"), nullable=False, unique=True),
    Column("person_id", Id, ForeignKey("people.id"), nullable=False),
    Column("kind", String(13), nullable=False),
    Column("serial", Serial, nullable=False),
    Column("fingerprint", LargeBinary(32), nullable=False, unique=True),
    Column("not_before", Instant, nullable=False),
    Column("not_after", Instant, nullable=False),
    Column("held", String(17), nullable=False),
    Column("issued_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("ending", String(10)),
    Column("reason", String(24)),
    Column("supersedes", Id),
    Column("first_logon_at", Instant),
    Column("suspended_at", Instant),
    Column("shard", SmallInteger),
    Column("generation", SmallInteger, nullable=False, server_default="1"),
    # Renewed without a PIN, and its person has not logged on with the one before since.
    Column("waits_for_logon", Boolean, nullable=False, server_default=false()),
    # Since when it counts, where it waited for that logon or was suspended; null where it did from its issue on.
    Column("counts_from", Instant),
    UniqueConstraint("kind", "serial"),
    Index("ix_certificates_person_id", "person_id", "id"),
    Index("ix_certificates_not_after", "not_after", "id"),
    # Few certificates supersede one, and fewer wait for their first logon: these hold the few.
    Index("ix_certificates_supersedes", "supersedes", **where("supersedes IS NOT NULL")),
    Index(
        "ix_certificates_unused_renewals",
        "issued_at",
        **where("supersedes IS NOT NULL AND first_logon_at IS NULL AND ended_at IS NULL"),
    ),
)

certificate_bytes = Table(
    "certificate_bytes",
    metadata,
    Column("certificate_id", Id, ForeignKey("certificates.id"), primary_key=True, autoincrement=False),
    Column("der", LargeBinary, nullable=False),
)

crls = Table(
    "crls",
    metadata,
    Column("bank", String(4), ForeignKey("banks.code"), primary_key=True),
    Column("name", String(20), primary_key=True),
    Column("number", Id, nullable=False),
    Column("der", LargeBinary, nullable=False),
    Column("this_update", Instant, nullable=False),
    Column("next_update", Instant, nullable=False),
    Column("lately", LargeBinary(32), nullable=False),
)

# What the lists say of each certificate that is revoked or suspended, as DER; null where that was lifted. An end that
# the CA's journal was not told of yet is due there.
crl_entries = Table(
    "crl_entries",
    metadata,
    Column("certificate_id", Id, ForeignKey("certificates.id"), primary_key=True, autoincrement=False),
    Column("bank", String(4), nullable=False),
    Column("kind", String(13), nullable=False),
    Column("shard", SmallInteger),
    Column("serial", Serial, nullable=False),
    Column("not_after", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("entry", LargeBinary),
    Column("generation", SmallInteger, nullable=False, server_default="1"),
    Column("journal_due_at", Instant),
    Index("ix_crl_entries_journal_due", "journal_due_at", **where("journal_due_at IS NOT NULL")),
    Index("ix_crl_entries_shard", "bank", "kind", "shard"),
    Index("ix_crl_entries_changed_at", "bank", "kind", "changed_at"),
    Index("ix_crl_entries_not_after", "bank", "kind", "not_after"),
)

# Issuing CAs that the root revoked, with all that they signed. Doors and OCSP read it with each certificate. Those who
# held a certificate are told some at a time: up to the row `told_upto` they are.
revoked_cas = Table(
    "revoked_cas",
    metadata,
    Column("bank", String(4), ForeignKey("banks.code"), primary_key=True),
    Column("kind", String(13), primary_key=True),
    Column("generation", SmallInteger, primary_key=True, autoincrement=False),
    Column("serial", Serial, nullable=False),
    Column("revoked_at", Instant, nullable=False),
    Column("reason", String(24), nullable=False),
    Column("noted_at", Instant, nullable=False),
    Column("told_upto", Id, nullable=False, server_default="0"),
    Column("told_at", Instant),
)

# A row stands here while the database is known to be older than the CA's journal.
restores = Table(
    "restores",
    metadata,
    Column("bank", String(4), ForeignKey("banks.code"), primary_key=True),
    Column("found_at", Instant, nullable=False),
)
