"""What the role that the sites use may do in PostgreSQL: no more than the use cases do.

The tables belong to another role, which migrates and grants. So whoever gets
hold of the sites' connection can add an audit row and can neither change nor
remove one, and can end a certificate and never change what it says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.store.tables import metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection

# By table, the columns that a use case changes. Every other column is written once.
_CHANGED = {
    "banks": ("policy_version",),
    "contracts": ("opened_at", "name", "branch", "ended_at"),
    "people": (
        "name",
        "language",
        "mail_address",
        "mail_confirmed_at",
        "applications",
        "language",
        "closed_at",
        "stopped_at",
        "deleted_at",
        "guesses",
        "guesses_since",
    ),
    "mailed_codes": ("used_at", "misses"),
    "secrets": ("misses", "asked", "provisional_until", "used_step"),
    "permits": ("spent_at", "withdrawn_at", "misses", "reminded_at", "expired_at"),
    "orders": ("computer", "voided_at", "refused_at"),
    "certificates": (
        "ended_at",
        "ending",
        "reason",
        "first_logon_at",
        "suspended_at",
        "waits_for_logon",
        "counts_from",
    ),
    "sessions": ("token_sha256", "positions", "completed_at", "seen_at", "ended_at", "end", "challenge"),
    "passkeys": ("sign_count", "used_at"),
    "notices": ("read_at", "mailed_at", "mail_due_at", "mail_tries", "mail_given_up_at", "mail_said"),
    "staff": ("name", "branch", "verifier", "misses", "pin_set_at", "closed_at", "ended_at"),
    "staff_roles": ("withdrawn_by", "withdrawn_at"),
    "staff_certificates": ("ended_at",),
    "staff_sessions": ("seen_at", "ended_at", "end"),
    "request_forms": (
        "state",
        "contract_id",
        "entered_by_id",
        "entered_with_id",
        "seal_checked_by_id",
        "seal_checked_with_id",
        "moved_at",
        "reason",
    ),
    "policy_proposals": ("ended", "ended_by_id", "ended_at", "ended_reason"),
    "cards": (
        "state",
        "sealed",
        "moved_at",
        "made_at",
        "posted_at",
        "in_use_at",
        "lost_at",
        "replaced_at",
        "ended_at",
    ),
    "system_answers": ("answer",),
    "revoked_cas": ("told_upto", "told_at"),
    "reminders": ("reached_at", "reached_id"),
    "tallies": ("number",),
    "tally_places": ("reached_id", "at"),
    "crls": ("number", "der", "this_update", "next_update", "lately"),
    "crl_entries": ("changed_at", "entry", "journal_due_at"),
}
# A secret that is set anew is another secret, and of those that it replaced only the last few are kept; a session that
# ended long ago is of no use to anybody; of an expired certificate no revocation list says anything; a passkey that
# its holder has taken away opens nothing; a restore that was put right is over; an order whose certificate is stored is
# unfinished no more; a system asks again within the day; of a request that no contract came of nobody needs the papers;
# nobody looks at counts of long ago.
_REMOVED = (
    "secrets",
    "past_pins",
    "sessions",
    "crl_entries",
    "passkeys",
    "restores",
    "staff_sessions",
    "contract_names",
    "unfinished_orders",
    "system_answers",
    "form_scans",
    "tallies",
)
# What only the tables' owner adds to: who could say that a contract was removed could remove what is on record of it,
# who could write down a command could change a bank's rules alone, and who could set a card maker could have every card
# table made readable for themselves.
_READ = ("removed_contracts", "policy_commands", "card_makers")


def grant_web(tx: Connection, role: str) -> None:
    """Give `role` the rights of the sites on the tables as they are now, and take every other right on them away."""
    quote = tx.dialect.identifier_preparer.quote
    to = quote(role)
    statements = [
        f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {to}",
        f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {to}",
        f"GRANT USAGE ON SCHEMA public TO {to}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {to}",
        f"GRANT SELECT ON alembic_version TO {to}",
    ]
    statements += [
        f"GRANT {'SELECT' if name in _READ else 'SELECT, INSERT'} ON {quote(name)} TO {to}" for name in metadata.tables
    ]
    for name, columns in _CHANGED.items():
        statements.append(f"GRANT UPDATE ({', '.join(map(quote, columns))}) ON {quote(name)} TO {to}")
    statements += [f"GRANT DELETE ON {quote(name)} TO {to}" for name in _REMOVED]
    for statement in statements:
        tx.exec_driver_sql(statement)
