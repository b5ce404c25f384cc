"""Every table. A change here goes with a migration in migrations/versions; a test compares the two."""

from __future__ import annotations

from sekisho.store.tables.certificates import (
    certificate_bytes,
    certificates,
    crl_entries,
    crls,
    orders,
    permits,
    restores,
    revoked_cas,
    unfinished_orders,
)
from sekisho.store.tables.common import metadata
from sekisho.store.tables.console import (
    form_approvals,
    form_scans,
    request_forms,
    staff,
    staff_certificates,
    staff_roles,
    staff_sessions,
    system_answers,
)
from sekisho.store.tables.customers import (
    banks,
    card_makers,
    cards,
    contract_names,
    contracts,
    mailed_codes,
    passkeys,
    past_pins,
    people,
    removed_contracts,
    secrets,
    sessions,
)
from sekisho.store.tables.policy import policy_approvals, policy_commands, policy_proposals
from sekisho.store.tables.tallies import tallies, tally_places
from sekisho.store.tables.told import audit, notices, reminders

__all__ = [
    "audit",
    "banks",
    "card_makers",
    "cards",
    "certificate_bytes",
    "certificates",
    "contract_names",
    "contracts",
    "crl_entries",
    "crls",
    "form_approvals",
    "form_scans",
    "mailed_codes",
    "metadata",
    "notices",
    "orders",
    "passkeys",
    "past_pins",
    "people",
    "permits",
    "policy_approvals",
    "policy_commands",
    "policy_proposals",
    "reminders",
    "removed_contracts",
    "request_forms",
    "restores",
    "revoked_cas",
    "secrets",
    "sessions",
    "staff",
    "staff_certificates",
    "staff_roles",
    "staff_sessions",
    "system_answers",
    "tallies",
    "tally_places",
    "unfinished_orders",
]
