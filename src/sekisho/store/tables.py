"""Every table. A change here goes with a migration in migrations/versions; a test compares the two."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from sekisho.store.columns import Instant, Serial

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
# SQLite counts rows by itself only in a column that is exactly INTEGER.
_Id = BigInteger().with_variant(Integer, "sqlite")
# Compared byte by byte on both, so that a name's beginning is a range of the index.
_Bytewise = Text().with_variant(Text(collation="C"), "postgresql")


def _where(condition: str) -> dict[str, Any]:
    """Return what makes an index hold only the rows that meet a condition."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


_WAITING = "state NOT IN ('carried-out', 'returned', 'withdrawn')"

banks = Table(
    "banks",
    metadata,
    Column("code", String(4), primary_key=True),
    Column("name_ja", Text, nullable=False),
    Column("name_en", Text, nullable=False),
    Column("service_name_ja", Text, nullable=False),
    Column("service_name_en", Text, nullable=False),
    Column("help_desk_phone", Text, nullable=False),
    Column("help_desk_hours_ja", Text, nullable=False),
    Column("help_desk_hours_en", Text, nullable=False),
    Column("way_tegata", Boolean, nullable=False),
    Column("way_est", Boolean, nullable=False),
    Column("way_browser", Boolean, nullable=False),
    # The bank's applications that a user may be let into: [{"code": ..., "ja": ..., "en": ...}].
    Column("applications", JSON(none_as_null=True)),
    # The rules that are numbers and differ from their defaults, by `Rule.name`.
    Column("rules", JSON(none_as_null=True)),
    Column("second_steps", String(20), nullable=False, server_default="card,totp,passkey"),
    Column("registered_at", Instant, nullable=False),
)

contracts = Table(
    "contracts",
    metadata,
    Column("bank", String(4), ForeignKey("banks.code"), primary_key=True),
    Column("contract_id", String(11), primary_key=True),
    Column("name", Text, nullable=False),
    Column("registered_at", Instant, nullable=False),
    # Until its administrator has confirmed the opening (開通確認) nothing else of it can be reached.
    Column("opened_at", Instant),
    # Three digits; without one the operations centre keeps the contract.
    Column("branch", String(3)),
    # From then on nothing of it is lifted, issued or filed any more.
    Column("ended_at", Instant),
    Index("ix_contracts_branch", "bank", "branch", "contract_id"),
)

# What a company is looked for by: its names as `search_key` folds them, in the order of their bytes.
contract_names = Table(
    "contract_names",
    metadata,
    Column("bank", String(4), primary_key=True),
    Column("key", _Bytewise, primary_key=True),
    Column("contract_id", String(11), primary_key=True),
    Column("branch", String(3)),
    ForeignKeyConstraint(
        ["bank", "contract_id"], ["contracts.bank", "contracts.contract_id"], name="fk_contract_names_contract"
    ),
    Index("ix_contract_names_contract", "bank", "contract_id"),
    Index("ix_contract_names_branch", "bank", "branch", "key", "contract_id"),
)

# The administrator is the person whose user_key is empty. A contract is closed
# when its administrator is: that one row shuts every user's door as well. So
# does an emergency stop, which only the branch lifts. A user who was deleted
# keeps their row, so that their ID is never given to anybody else.
people = Table(
    "people",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("bank", String(4), nullable=False),
    Column("contract_id", String(11), nullable=False),
    Column("user_id", String(30)),
    Column("user_key", String(30), nullable=False),
    Column("name", Text, nullable=False),
    Column("mail_address", Text),
    Column("language", String(2), nullable=False),
    Column("registered_at", Instant, nullable=False),
    Column("closed_at", Instant),
    Column("stopped_at", Instant),
    Column("deleted_at", Instant),
    Column("applications", JSON(none_as_null=True)),
    Column("mail_confirmed_at", Instant),
    UniqueConstraint("bank", "contract_id", "user_key"),
    CheckConstraint("user_key = lower(coalesce(user_id, ''))", name="user_key_is_lower"),
)

# `verifier` is an argon2id string for a PIN and the sealed table for the card,
# whose positions are asked and which therefore cannot be hashed. `asked` is the
# question that stands until it is answered ("3,1,9,7"). A provisional PIN counts
# until `provisional_until` and has to be replaced at the first logon.
secrets = Table(
    "secrets",
    metadata,
    Column("person_id", _Id, ForeignKey("people.id"), primary_key=True),
    Column("name", String(20), primary_key=True),
    Column("verifier", Text, nullable=False),
    Column("misses", Integer, nullable=False, server_default="0"),
    Column("asked", String(20)),
    Column("set_at", Instant, nullable=False),
    Column("provisional_until", Instant),
    # The last time step of which a one-time code was taken.
    Column("used_step", BigInteger),
)

# The verifiers of PINs that were replaced, of each the last few: a new PIN is none of them.
past_pins = Table(
    "past_pins",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("person_id", _Id, ForeignKey("people.id"), nullable=False),
    Column("name", String(20), nullable=False),
    Column("verifier", Text, nullable=False),
    Column("replaced_at", Instant, nullable=False),
    Index("ix_past_pins_person_id", "person_id", "name", "id"),
)

permits = Table(
    "permits",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("person_id", _Id, ForeignKey("people.id"), nullable=False),
    Column("granted_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("spent_at", Instant),
    Column("withdrawn_at", Instant),
    Column("misses", Integer, nullable=False, server_default="0"),
    Column("reminded_at", Instant),
    Column("expired_at", Instant),
    Index("ix_permits_person_id", "person_id", "id"),
    # `expired_at` is when an end by time was seen and told: what is left are the few that are open.
    Index(
        "ix_permits_open", "expires_at", **_where("spent_at IS NULL AND withdrawn_at IS NULL AND expired_at IS NULL")
    ),
)

# Codes that were mailed: only their verifiers. Each counts once and for a short
# time, for the purpose and at the address that it was mailed for.
mailed_codes = Table(
    "mailed_codes",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("person_id", _Id, ForeignKey("people.id"), nullable=False),
    Column("purpose", String(20), nullable=False),
    Column("permit_id", _Id),
    Column("mail_address", Text, nullable=False),
    Column("verifier", Text, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    Column("misses", Integer, nullable=False, server_default="0"),
    Index("ix_mailed_codes_person_id", "person_id", "id"),
)

# An order stands before its certificate is signed: after a crash this table
# names every certificate that may exist. A permit gives one order, a key one
# order for ever, and the database itself holds both rules.
orders = Table(
    "orders",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("person_id", _Id, ForeignKey("people.id"), nullable=False),
    Column("permit_id", _Id, ForeignKey("permits.id"), unique=True),
    Column("renews_id", _Id),
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
    # Set with the certificate: what is unfinished is found without looking at what is done.
    Column("finished_at", Instant),
    # The part of the revocation list that the certificate names, which is among what decides its bytes.
    Column("shard", SmallInteger),
    # Of the issuing CA that signs it.
    Column("generation", SmallInteger, nullable=False, server_default="1"),
    # The CA would not sign it, so no certificate comes of it.
    Column("refused_at", Instant),
    Index("ix_orders_person_id", "person_id"),
    Index("ix_orders_unfinished", "ordered_at", **_where("finished_at IS NULL AND refused_at IS NULL")),
    Index("ix_orders_refused", "id", **_where("refused_at IS NOT NULL")),
)

# The small table of the doors and of OCSP: which certificates there are (issuing
# CA by kind, serial, fingerprint) and whether they count. Their bytes, five times
# as large, stand apart, so that this one stays in memory.
certificates = Table(
    "certificates",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("order_id", _Id, ForeignKey("orders.id"), nullable=False, unique=True),
    Column("person_id", _Id, ForeignKey("people.id"), nullable=False),
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
    Column("supersedes", _Id),
    Column("first_logon_at", Instant),
    Column("suspended_at", Instant),
    Column("shard", SmallInteger),
    Column("generation", SmallInteger, nullable=False, server_default="1"),
    UniqueConstraint("kind", "serial"),
    Index("ix_certificates_person_id", "person_id", "id"),
    Index("ix_certificates_not_after", "not_after", "id"),
    # Few certificates supersede one, and fewer wait for their first logon: these hold the few.
    Index("ix_certificates_supersedes", "supersedes", **_where("supersedes IS NOT NULL")),
    Index(
        "ix_certificates_unused_renewals",
        "issued_at",
        **_where("supersedes IS NOT NULL AND first_logon_at IS NULL AND ended_at IS NULL"),
    ),
)

certificate_bytes = Table(
    "certificate_bytes",
    metadata,
    Column("certificate_id", _Id, ForeignKey("certificates.id"), primary_key=True, autoincrement=False),
    Column("der", LargeBinary, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("token_sha256", LargeBinary(32), nullable=False, unique=True),
    Column("person_id", _Id, ForeignKey("people.id"), nullable=False),
    Column("certificate_id", _Id, ForeignKey("certificates.id"), nullable=False),
    Column("address", String(45), nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("positions", String(20), nullable=False),
    Column("completed_at", Instant),
    Column("ended_at", Instant),
    Column("end", String(12)),
    # What a passkey has to sign next; an answer takes it away.
    Column("challenge", LargeBinary(32)),
    Index("ix_sessions_person_id", "person_id", "completed_at"),
    Index("ix_sessions_open_certificate_id", "certificate_id", "ended_at"),
    Index("ix_sessions_opened_at", "opened_at"),
)

# Who did what, when, from where, about whom and which certificate. Rows are
# only ever added: triggers of the first migration refuse anything else.
audit = Table(
    "audit",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("action", String(40), nullable=False),
    Column("bank", String(4)),
    Column("contract_id", String(11)),
    Column("actor", String(80), nullable=False),
    Column("address", String(45)),
    Column("person_id", _Id),
    Column("serial", Serial),
    Column("detail", JSON, nullable=False),
    Index("ix_audit_contract_id", "bank", "contract_id", "id"),
    Index("ix_audit_serial", "serial"),
)

# What a person is told: the inbox shows each row, and the same row is mailed. As long as there is something to mail,
# `mail_due_at` is the moment of the next try; who tries takes the row by moving it to the end of a lease. `mail_to`
# stands in place of the person's own address, `mail_said` is what was answered last.
notices = Table(
    "notices",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("person_id", _Id, ForeignKey("people.id"), nullable=False),
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
    Index("ix_notices_mail_due", "mail_due_at", "id", **_where("mail_due_at IS NOT NULL")),
    Index("ix_notices_mail_given_up", "id", **_where("mail_given_up_at IS NOT NULL")),
)

crls = Table(
    "crls",
    metadata,
    Column("bank", String(4), ForeignKey("banks.code"), primary_key=True),
    Column("name", String(20), primary_key=True),
    Column("number", _Id, nullable=False),
    Column("der", LargeBinary, nullable=False),
    Column("this_update", Instant, nullable=False),
    Column("next_update", Instant, nullable=False),
    Column("lately", LargeBinary(32), nullable=False),
)

# What the lists say of each certificate that is revoked or suspended, as DER; null where that was lifted.
crl_entries = Table(
    "crl_entries",
    metadata,
    Column("certificate_id", _Id, ForeignKey("certificates.id"), primary_key=True, autoincrement=False),
    Column("bank", String(4), nullable=False),
    Column("kind", String(13), nullable=False),
    Column("shard", SmallInteger),
    Column("serial", Serial, nullable=False),
    Column("not_after", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("entry", LargeBinary),
    Column("generation", SmallInteger, nullable=False, server_default="1"),
    Index("ix_crl_entries_shard", "bank", "kind", "shard"),
    Index("ix_crl_entries_changed_at", "bank", "kind", "changed_at"),
    Index("ix_crl_entries_not_after", "bank", "kind", "not_after"),
)

# A row stands here while the database is known to be older than the CA's journal.
restores = Table(
    "restores",
    metadata,
    Column("bank", String(4), ForeignKey("banks.code"), primary_key=True),
    Column("found_at", Instant, nullable=False),
)

# How far each reminder has come among the certificates in the order of their ends: whatever stands before that was
# told, or had no need to be. `days` before the end is what names a reminder.
reminders = Table(
    "reminders",
    metadata,
    Column("bank", String(4), ForeignKey("banks.code"), primary_key=True),
    Column("days", Integer, primary_key=True, autoincrement=False),
    Column("reached_at", Instant, nullable=False),
    Column("reached_id", _Id, nullable=False),
)

passkeys = Table(
    "passkeys",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("person_id", _Id, ForeignKey("people.id"), nullable=False),
    Column("label", String(40), nullable=False),
    Column("credential_id", LargeBinary, nullable=False, unique=True),
    Column("credential", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("added_at", Instant, nullable=False),
    Column("used_at", Instant),
    Index("ix_passkeys_person_id", "person_id", "id"),
)

# The bank's own people. `branch` is three digits, null for the operations centre. An ID is never given twice.
staff = Table(
    "staff",
    metadata,
    Column("id", _Id, primary_key=True),
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
    Column("id", _Id, primary_key=True),
    Column("holder_id", _Id, ForeignKey("staff.id"), nullable=False),
    Column("role", String(10), nullable=False),
    Column("granted_by", Text, nullable=False),
    Column("granted_by_id", _Id, ForeignKey("staff.id", name="fk_staff_roles_granted_by_id")),
    Column("granted_at", Instant, nullable=False),
    Column("withdrawn_by", Text),
    Column("withdrawn_at", Instant),
    CheckConstraint("granted_by_id IS NULL OR granted_by_id <> holder_id", name="nobody_grants_to_themselves"),
    Index("ix_staff_roles_holder_id", "holder_id", "id"),
    Index("ix_staff_roles_granted_by_id", "granted_by_id"),
    Index("uq_staff_roles_held", "holder_id", "role", unique=True, **_where("withdrawn_at IS NULL")),
)

staff_certificates = Table(
    "staff_certificates",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("holder_id", _Id, ForeignKey("staff.id"), nullable=False),
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
    Column("id", _Id, primary_key=True),
    Column("token_sha256", LargeBinary(32), nullable=False, unique=True),
    Column("holder_id", _Id, ForeignKey("staff.id"), nullable=False),
    Column("certificate_id", _Id, ForeignKey("staff_certificates.id"), nullable=False),
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
    Column("id", _Id, primary_key=True),
    Column("bank", String(4), ForeignKey("banks.code"), nullable=False),
    Column("kind", String(30), nullable=False),
    Column("state", String(20), nullable=False),
    Column("branch", String(3)),
    Column("contract_id", String(11)),
    Column("user_id", String(30)),
    Column("detail", JSON, nullable=False),
    Column("filed_at", Instant, nullable=False),
    Column("filed_by_id", _Id, ForeignKey("people.id")),
    Column("entered_by_id", _Id, ForeignKey("staff.id")),
    Column("entered_with_id", _Id, ForeignKey("staff_certificates.id")),
    Column("seal_checked_by_id", _Id, ForeignKey("staff.id")),
    Column("seal_checked_with_id", _Id, ForeignKey("staff_certificates.id")),
    Column("moved_at", Instant, nullable=False),
    Column("reason", Text),
    ForeignKeyConstraint(
        ["bank", "contract_id"], ["contracts.bank", "contracts.contract_id"], name="fk_request_forms_contract"
    ),
    Index("ix_request_forms_contract", "bank", "contract_id", "id"),
    Index("ix_request_forms_waiting", "bank", "id", **_where(_WAITING)),
    Index("ix_request_forms_waiting_branch", "bank", "branch", "id", **_where(_WAITING)),
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
    Column("form_id", _Id, ForeignKey("request_forms.id"), primary_key=True, autoincrement=False),
    Column("approved_by_id", _Id, ForeignKey("staff.id"), nullable=False),
    Column("approved_with_id", _Id, ForeignKey("staff_certificates.id"), nullable=False),
    Column("role_id", _Id, ForeignKey("staff_roles.id"), nullable=False),
    Column("approved_at", Instant, nullable=False),
    Index("ix_form_approvals_approved_by_id", "approved_by_id"),
    Index("ix_form_approvals_approved_with_id", "approved_with_id"),
    Index("ix_form_approvals_role_id", "role_id"),
)
