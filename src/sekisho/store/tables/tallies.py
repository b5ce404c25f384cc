"""Counts for the overview."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, String, Table

from sekisho.store.columns import Instant
from sekisho.store.tables.common import Id, metadata

# How many of `what` there were in the hour or on the day that began at `begins_at`, for each branch; the operations
# centre's own contracts stand under the empty branch. Nobody who serves a visitor writes here: the worker adds up
# audit rows, and counts anew what an index of the few that wait holds.
tallies = Table(
    "tallies",
    metadata,
    Column("what", String(20), primary_key=True),
    Column("bank", String(4), ForeignKey("banks.code"), primary_key=True),
    Column("begins_at", Instant, primary_key=True),
    Column("branch", String(3), primary_key=True),
    Column("number", BigInteger, nullable=False),
)

# How far the counts have come: "added" up to the audit row `reached_id`, written at `at`; "counted" anew at `at`.
tally_places = Table(
    "tally_places",
    metadata,
    Column("name", String(10), primary_key=True),
    Column("reached_id", Id, nullable=False),
    Column("at", Instant, nullable=False),
)
