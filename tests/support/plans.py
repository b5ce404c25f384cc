"""How a database means to run the statements that were really sent: from EXPLAIN, whatever reads a whole table."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import event

from sekisho.store.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sekisho.store.database import Database

# A subquery that ends after so many rows, whose own plan is judged besides.
_BOUNDED = "looked_at"
# As many rows as there are banks, or a few for each; what was decided about a bank's rules is read as a whole.
_TINY = {
    "banks",
    "card_makers",
    "crls",
    "policy_approvals",
    "policy_commands",
    "policy_proposals",
    "reminders",
    "restores",
    "revoked_cas",
    "tally_places",
    "unfinished_orders",
}
# These hold only the few rows that work looks for, so reading all of one is what it is for.
_OF_FEW = {
    str(index.name)
    for table in metadata.tables.values()
    for index in table.indexes
    if index.dialect_options["postgresql"]["where"] is not None
}
_VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")


@contextmanager
def collected(db: Database) -> Iterator[dict[str, Any]]:
    """Collect each statement that is sent while the block lasts, with the parameters that it was sent with first."""
    sent: dict[str, Any] = {}

    def keep(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:  # noqa: FBT001
        if statement.lstrip().upper().startswith(_VERBS) and re.search(_tables(), statement):
            sent.setdefault(statement, parameters[0] if many else parameters)

    engines = (db.reading, db.writing)
    for engine in engines:
        event.listen(engine, "before_cursor_execute", keep)
    try:
        yield sent
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", keep)


def _tables() -> str:
    return r"\b(" + "|".join(metadata.tables) + r")\b"


def whole_reads(db: Database, statement: str, parameters: Any) -> list[str]:
    """Return what of the statement's plans reads a whole table, or a whole index of one, that grows."""
    if db.writing.dialect.name == "sqlite":
        return _in_sqlite(db, statement, parameters)
    return _in_postgresql(db, statement, parameters)


def _in_sqlite(db: Database, statement: str, parameters: Any) -> list[str]:
    with db.read() as tx:
        plan = [row[3] for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    found = []
    for line in plan:
        scanned = re.match(r"SCAN (\S+)(?: USING (?:COVERING )?INDEX (\S+))?", line)
        if scanned and scanned[1] not in {*_TINY, _BOUNDED, "CONSTANT"} and scanned[2] not in _OF_FEW:
            found.append(line)
    return found


def _in_postgresql(db: Database, statement: str, parameters: Any) -> list[str]:
    """Judge the plan for these parameters, and the one that is kept for all once a statement came five times."""
    plain, names = _numbered(statement)
    arguments = f"({', '.join(['NULL'] * len(names))})" if names else ""
    with db.read() as tx:
        for_these = tx.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()
        tx.exec_driver_sql("SET LOCAL plan_cache_mode = force_generic_plan")
        cursor: Any = tx.connection.cursor()
        cursor.execute(f"PREPARE kept AS {plain}", prepare=False)
        cursor.execute(f"EXPLAIN (FORMAT JSON) EXECUTE kept{arguments}", prepare=False)
        for_all = cursor.fetchone()[0]
        cursor.execute("DEALLOCATE kept", prepare=False)
    plans = [json.loads(plan) if isinstance(plan, str) else plan for plan in (for_these, for_all)]
    return [line for plan in plans for line in _judged(plan[0]["Plan"])]


def _numbered(statement: str) -> tuple[str, list[str]]:
    """Return a statement with PostgreSQL's own numbered placeholders, and what they stand for."""
    names: list[str] = []

    def number(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        name = found[1] or f"position {len(names)}"
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    return re.sub(r"%\((\w+)\)s|%s|%%", number, statement), names


def _judged(node: dict[str, Any]) -> list[str]:
    kind, table = node["Node Type"], node.get("Relation Name")
    found = []
    if kind == "Seq Scan" and table not in _TINY:
        found.append(f"{kind} on {table}")
    whole_index = "Index" in kind and "Index Cond" not in node
    if whole_index and table not in _TINY and node["Index Name"] not in _OF_FEW:
        found.append(f"{kind} on {table} by all of {node['Index Name']}")
    return found + [line for below in node.get("Plans", []) for line in _judged(below)]
