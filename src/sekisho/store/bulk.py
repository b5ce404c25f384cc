"""Many rows in one statement whose text stays the same, however many they are.

PostgreSQL parses and plans a text that it has not seen, and its driver reads
it for placeholders; for an INSERT of sixteen rows with a VALUES list of their
own that takes longer than the rows do. So there the rows come as one value,
and lists to look for as one array. SQLite calls no server, and takes what
SQLAlchemy makes of both.
"""

from __future__ import annotations

import json
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import LargeBinary, any_, bindparam, insert
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY

from sekisho.store.columns import Instant, Serial, serial_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Column, ColumnElement, Connection, Executable, Table

    # Takes a column and the name of a parameter, and returns "the column is one of the parameter's values".
    Among = Callable[[Column[Any], str], ColumnElement[bool]]
    Rows = tuple[Table, Sequence[Mapping[str, Any]]]

_dialect = postgresql.dialect()  # type: ignore[no-untyped-call] # SQLAlchemy has no types for it


class OfMany:
    """A statement about the rows that are among many values, made once for each database."""

    def __init__(self, make: Callable[[Among], Executable]) -> None:
        self._of = {"postgresql": make(_in_array), "sqlite": make(_in_list)}

    def run(self, tx: Connection, values: Mapping[str, Any]) -> Any:
        """Execute it and return SQLAlchemy's result."""
        return tx.execute(self._of[tx.dialect.name], values)


def _in_array(column: Column[Any], name: str) -> ColumnElement[bool]:
    return column == any_(bindparam(name, type_=ARRAY(column.type)))


def _in_list(column: Column[Any], name: str) -> ColumnElement[bool]:
    return column.in_(bindparam(name, expanding=True))


def add(tx: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, which all name the same columns."""
    add_to(tx, [(table, rows)])


def add_to(tx: Connection, rows_of: Sequence[Rows]) -> None:
    """Insert rows into several tables; those of one table all name the same columns."""
    filled = [(table, rows) for table, rows in rows_of if rows]
    if not filled:
        return
    if tx.dialect.name == "postgresql":
        text = _insert(tuple((table, tuple(rows[0])) for table, rows in filled))
        tx.exec_driver_sql(text, tuple(_as_json(table, rows) for table, rows in filled))
    else:
        for table, rows in filled:
            tx.execute(insert(table), list(rows))


def add_with_ids(
    tx: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    by: str,
    besides: Sequence[Rows] = (),
    noted_in: Column[int] | None = None,
) -> list[int]:
    """Insert rows and return their ids in the same order.

    `by` names a column, not one of bytes, in which no two of them are alike.
    `besides` are rows of other tables, and `noted_in` is a column of another
    one that gets a row with each id.
    """
    if tx.dialect.name == "postgresql":
        tables = tuple((other, tuple(others[0])) for other, others in [*besides, (table, rows)])
        values = tuple(_as_json(other, others) for other, others in [*besides, (table, rows)])
        ids = {key: row_id for row_id, key in tx.exec_driver_sql(_insert(tables, by, noted_in), values)}
        write = _writer(table.c[by]) or (lambda value: value)
        return [ids[write(row[by])] for row in rows]
    made = list(tx.scalars(insert(table).returning(table.c.id, sort_by_parameter_order=True), list(rows)))
    noted = [] if noted_in is None else [(noted_in.table, [{noted_in.name: row_id} for row_id in made])]
    add_to(tx, [*besides, *noted])
    return made


@cache
def _insert(tables: tuple[tuple[Table, tuple[str, ...]], ...], by: str | None = None, noted_in: Any = None) -> str:
    """Return what inserts rows, for each table one value; of the last table, the ids and `by` are returned."""
    quote = _dialect.identifier_preparer.quote
    inserts = []
    for table, names in tables:
        columns = ", ".join(quote(name) for name in names)
        typed = ", ".join(f"{quote(name)} {table.c[name].type.compile(_dialect)}" for name in names)
        inserts.append(
            f"INSERT INTO {quote(table.name)} ({columns}) "  # noqa: S608 - names of our own tables
            f"SELECT {columns} FROM json_to_recordset(%s::json) AS new ({typed})"
        )
    last = inserts.pop()
    others = [f"other_{at} AS ({text})" for at, text in enumerate(inserts)]
    if by is not None:
        last += f" RETURNING id, {quote(by)}"
    if noted_in is not None:
        others.append(f"made AS ({last})")
        noted = f"INSERT INTO {quote(noted_in.table.name)} ({quote(noted_in.name)}) SELECT id FROM made"  # noqa: S608 - the same
        others.append(f"noted AS ({noted})")
        last = "SELECT * FROM made"
    return f"WITH {', '.join(others)} {last}" if others else last


def _as_json(table: Table, rows: Sequence[Mapping[str, Any]]) -> str:
    writers = _writers(table, tuple(rows[0]))
    return json.dumps(
        [
            {name: value if value is None or write is None else write(value) for name, value, write in written}
            for written in (((name, row[name], write) for name, write in writers) for row in rows)
        ]
    )


@cache
def _writers(table: Table, names: tuple[str, ...]) -> list[tuple[str, Callable[[Any], Any] | None]]:
    """Return how each column's values are written so that PostgreSQL reads them from text; None leaves one as it is."""
    return [(name, _writer(table.c[name])) for name in names]


def _writer(column: Column[Any]) -> Callable[[Any], Any] | None:
    kind = column.type
    if isinstance(kind, Instant):
        return _moment
    if isinstance(kind, Serial):
        return serial_text
    return _bytes if isinstance(kind, LargeBinary) else None


@lru_cache(maxsize=256)
def _moment(value: datetime) -> str:
    if value.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return value.isoformat()


def _bytes(value: bytes) -> str:
    return "\\x" + value.hex()
