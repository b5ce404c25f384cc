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
    unfinished_orders,
)
from sekisho.store.tables.common import metadata
from sekisho.store.tables.console import (
    form_approvals,
    request_forms,
    staff,
    staff_certificates,
    staff_roles,
    staff_sessions,
    system_answers,
)
from sekisho.store.tables.customers import (
    banks,
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
from sekisho.store.tables.told import audit, notices, reminders

__all__ = [
    "audit",
    "banks",
    "cards",
    "certificate_bytes",
    "certificates",
    "contract_names",
    "contracts",
    "crl_entries",
    "crls",
    "form_approvals",
    "mailed_codes",
    "metadata",
    "notices",
    "orders",
    "passkeys",
    "past_pins",
    "people",
    "permits",
    "reminders",
    "removed_contracts",
    "request_forms",
    "restores",
    "secrets",
    "sessions",
    "staff",
    "staff_certificates",
    "staff_roles",
    "staff_sessions",
    "system_answers",
    "unfinished_orders",
]
