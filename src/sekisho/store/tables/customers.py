"""Banks, contracts, their people, and what people know and are logged on with."""

from __future__ import annotations

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
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from sekisho.store.columns import Instant
from sekisho.store.tables.common import Bytewise, Id, metadata, where

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
    # The policy that the bank began with; what was decided since stands in policy_approvals and policy_commands, and
    # `policy_version` counts it.
    Column("way_tegata", Boolean, nullable=False),
    Column("way_est", Boolean, nullable=False),
    Column("way_browser", Boolean, nullable=False),
    # The bank's applications that a user may be let into: [{"code": ..., "ja": ..., "en": ...}].
    Column("applications", JSON(none_as_null=True)),
    # The rules that are numbers and differ from their defaults, by `Rule.name`.
    Column("rules", JSON(none_as_null=True)),
    Column("second_steps", String(20), nullable=False, server_default="card,totp,passkey"),
    Column("policy_version", Integer, nullable=False, server_default="0"),
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
    Index("ix_contracts_ended_at", "bank", "ended_at", **where("ended_at IS NOT NULL")),
)

# The certificates (PEM) of card makers that the print file is encrypted for, the one that was set last. Only the
# tables' owner adds to them, and triggers keep them as they were written: whoever could set one could have every card
# table made readable for themselves.
card_makers = Table(
    "card_makers",
    metadata,
    Column("id", Id, primary_key=True),
    Column("bank", String(4), ForeignKey("banks.code"), nullable=False),
    Column("certificate", Text, nullable=False),
    Column("set_by", Text, nullable=False),
    Column("set_at", Instant, nullable=False),
    Index("ix_card_makers_bank", "bank", "id"),
)

# Contracts of which nothing else is left, once the retention rule kept them no longer: `rows` counts what was removed,
# by table, `audit_sha256` says what the audit rows among it were. The triggers let nothing of a contract be removed
# before it stands here, and nothing stand here within seven years of its end; an ID that stands here is never given
# again.
removed_contracts = Table(
    "removed_contracts",
    metadata,
    Column("bank", String(4), ForeignKey("banks.code"), primary_key=True),
    Column("contract_id", String(11), primary_key=True),
    Column("ended_at", Instant, nullable=False),
    Column("removed_at", Instant, nullable=False),
    Column("rows", JSON, nullable=False),
    Column("audit_sha256", LargeBinary(32), nullable=False),
)

# What a company is looked for by: its names as `search_key` folds them, in the order of their bytes.
contract_names = Table(
    "contract_names",
    metadata,
    Column("bank", String(4), primary_key=True),
    Column("key", Bytewise, primary_key=True),
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
    Column("id", Id, primary_key=True),
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
    # Wrong PINs of whoever would acquire without an open permit: a count that closes no door.
    Column("guesses", Integer, nullable=False, server_default="0"),
    Column("guesses_since", Instant),
    UniqueConstraint("bank", "contract_id", "user_key"),
    CheckConstraint("user_key = lower(coalesce(user_id, ''))", name="user_key_is_lower"),
    # The few whose door is shut.
    Index("ix_people_shut", "id", **where("(closed_at IS NOT NULL OR stopped_at IS NOT NULL) AND deleted_at IS NULL")),
)

# `verifier` is an argon2id string for a PIN, for one that was drawn here and not
# hardened yet a quick one ("~..."), and the sealed table for the card, whose
# positions are asked and which therefore cannot be hashed. `asked` is the
# question that stands until it is answered ("3,1,9,7"). A provisional PIN counts
# until `provisional_until` and has to be replaced at the first logon.
secrets = Table(
    "secrets",
    metadata,
    Column("person_id", Id, ForeignKey("people.id"), primary_key=True),
    Column("name", String(20), primary_key=True),
    Column("verifier", Text, nullable=False),
    Column("misses", Integer, nullable=False, server_default="0"),
    Column("asked", String(20)),
    Column("set_at", Instant, nullable=False),
    Column("provisional_until", Instant),
    # The last time step of which a one-time code was taken.
    Column("used_step", BigInteger),
    Index("ix_secrets_quick", "person_id", **where("substr(verifier, 1, 1) = '~'")),
)

# Customer cards. The sealed table stands here until the card is posted; from then on it is the administrator's secret.
cards = Table(
    "cards",
    metadata,
    Column("id", Id, primary_key=True),
    Column("bank", String(4), nullable=False),
    Column("contract_id", String(11), nullable=False),
    Column("number", String(20), nullable=False),
    Column("state", String(10), nullable=False),
    Column("sealed", Text),
    Column("moved_at", Instant, nullable=False),
    Column("expected_at", Instant),
    Column("ordered_at", Instant),
    Column("made_at", Instant),
    Column("posted_at", Instant),
    Column("in_use_at", Instant),
    Column("lost_at", Instant),
    Column("replaced_at", Instant),
    Column("ended_at", Instant),
    ForeignKeyConstraint(
        ["bank", "contract_id"], ["contracts.bank", "contracts.contract_id"], name="fk_cards_contract"
    ),
    UniqueConstraint("number"),
    CheckConstraint("(sealed IS NOT NULL) = (state IN ('ordered', 'made'))", name="sealed_until_posted"),
    Index("ix_cards_contract", "bank", "contract_id", "id"),
    Index(
        "ix_cards_in_use",
        "bank",
        "contract_id",
        unique=True,
        sqlite_where=text("state = 'in-use'"),
        postgresql_where=text("state = 'in-use'"),
    ),
    Index(
        "ix_cards_on_its_way",
        "bank",
        "contract_id",
        unique=True,
        sqlite_where=text("state IN ('ordered', 'made', 'posted')"),
        postgresql_where=text("state IN ('ordered', 'made', 'posted')"),
    ),
    Index(
        "ix_cards_not_posted",
        "bank",
        "id",
        sqlite_where=text("state IN ('ordered', 'made')"),
        postgresql_where=text("state IN ('ordered', 'made')"),
    ),
)

# The verifiers of PINs that were replaced, of each the last few: a new PIN is none of them.
past_pins = Table(
    "past_pins",
    metadata,
    Column("id", Id, primary_key=True),
    Column("person_id", Id, ForeignKey("people.id"), nullable=False),
    Column("name", String(20), nullable=False),
    Column("verifier", Text, nullable=False),
    Column("replaced_at", Instant, nullable=False),
    Index("ix_past_pins_person_id", "person_id", "name", "id"),
    Index("ix_past_pins_quick", "person_id", **where("substr(verifier, 1, 1) = '~'")),
)

# Codes that were mailed: only their verifiers. Each counts once and for a short
# time, for the purpose and at the address that it was mailed for.
mailed_codes = Table(
    "mailed_codes",
    metadata,
    Column("id", Id, primary_key=True),
    Column("person_id", Id, ForeignKey("people.id"), nullable=False),
    Column("purpose", String(20), nullable=False),
    Column("permit_id", Id),
    Column("mail_address", Text, nullable=False),
    Column("verifier", Text, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    Column("misses", Integer, nullable=False, server_default="0"),
    Index("ix_mailed_codes_person_id", "person_id", "id"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("token_sha256", LargeBinary(32), nullable=False, unique=True),
    Column("person_id", Id, ForeignKey("people.id"), nullable=False),
    Column("certificate_id", Id, ForeignKey("certificates.id"), nullable=False),
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

passkeys = Table(
    "passkeys",
    metadata,
    Column("id", Id, primary_key=True),
    Column("person_id", Id, ForeignKey("people.id"), nullable=False),
    Column("label", String(40), nullable=False),
    Column("credential_id", LargeBinary, nullable=False, unique=True),
    Column("credential", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("added_at", Instant, nullable=False),
    Column("used_at", Instant),
    Index("ix_passkeys_person_id", "person_id", "id"),
)
