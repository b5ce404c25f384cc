"""A bank in its years: as many people as asked for, each with all that belongs to a certificate.

    a contract of five: the administrator and four users
    for each person    two secrets, one that was replaced, a code that was mailed, a permit that was spent, an
                       order, a certificate with bytes of their real length (one in a hundred has ended), a
                       session that has ended, two audit rows, a notice

Audit rows spread evenly over a hundred days, in the order of their numbers, so
that an auditor finds each day among the others.

The database makes the rows itself out of a series of numbers, so that millions
take minutes. What is looked up at random in life (fingerprints, serials, keys)
lies at random here as well.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Float,
    Integer,
    LargeBinary,
    case,
    cast,
    func,
    insert,
    literal,
    literal_column,
    null,
    select,
    text,
)

from sekisho.domain.certificate import Reason
from sekisho.pki import crl
from sekisho.store import bulk, tables
from sekisho.store.columns import Instant
from sekisho.store.sqlite import SqliteDatabase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, FromClause

    from sekisho.store.database import Database

OF_A_CONTRACT = 5
_AT_ONCE = 100_000
_ENDED_EACH = 100
_LISTED_AT_ONCE = 10_000
_LIFE = timedelta(days=365)
_AUDITED = ("certificate-ordered", "certificate-issued")
_AUDITED_FOR = timedelta(days=99)


def contract_id_of(person_id: int) -> str:
    """Return the contract of a synthetic person's row."""
    return f"{(person_id - 1) // OF_A_CONTRACT:011d}"


def user_id_of(person_id: int) -> str | None:
    """Return the user ID of a synthetic person's row, None for an administrator."""
    number = (person_id - 1) % OF_A_CONTRACT
    return f"user{number}" if number else None


def fill(
    db: Database,
    people: int,
    *,
    bank: str,
    verifiers: Mapping[str, str],
    der: bytes,
    spki: bytes,
    now: datetime,
    say: Callable[[str], None],
    first: int = 1,
) -> None:
    """Fill a database with so many people of a bank that is in it, their rows numbered from `first` on.

    `first` is the number of a contract's administrator: 1, or one more than a multiple of five.

    `verifiers` are those of everybody's secrets by name; `der` and `spki` are
    whatever real ones are as long as.
    """
    statements = _Rows(
        db.writing.dialect.name, bank, verifiers, der, spki, now.replace(microsecond=0), range(first, first + people)
    )

    def all_rows(tx: Connection) -> None:
        for done in range(0, people, _AT_ONCE):
            more = min(_AT_ONCE, people - done)
            statements.run(tx, first + done, first + done + more - 1)
            if (done + more) % (10 * _AT_ONCE) == 0:
                say(f"{done + more:,} of {people:,} certificates")

    if isinstance(db, SqliteDatabase):
        _load_into_sqlite(db, all_rows)
    else:
        db.change_tables(lambda tx: _load_into_postgresql(tx, all_rows))
    _list_what_ended(db, bank, first + people)
    settle(db)


def _list_what_ended(db: Database, bank: str, before: int) -> None:
    """Write what the revocation lists say of those that have ended."""
    t, listed = tables.certificates, tables.crl_entries
    after = 0
    while True:
        ended = select(t.c.id, t.c.kind, t.c.shard, t.c.serial, t.c.not_after, t.c.ended_at, t.c.reason)
        ended = ended.where(t.c.id > after, t.c.id < before, t.c.id % _ENDED_EACH == 0, t.c.ended_at.is_not(None))
        with db.read() as tx:
            rows = [row._asdict() for row in tx.execute(ended.order_by(t.c.id).limit(_LISTED_AT_ONCE))]
        if not rows:
            return
        after = rows[-1]["id"]
        written = [
            {
                "certificate_id": row.pop("id"),
                "bank": bank,
                "changed_at": row["ended_at"],
                "entry": crl.entry(row["serial"], row.pop("ended_at"), Reason(row.pop("reason"))),
                **row,
            }
            for row in rows
        ]
        db.write(partial(bulk.add, table=listed, rows=written))


def settle(db: Database) -> None:
    """Have the database look at what it holds, so that it plans for it, and be done with what a load leaves to do."""
    if isinstance(db, SqliteDatabase):
        db.write(lambda tx: [tx.exec_driver_sql(sql) for sql in ("PRAGMA analysis_limit = 1000", "ANALYZE")])
        return
    with db.writing.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("SET statement_timeout = 0")
        connection.exec_driver_sql("VACUUM (ANALYZE)")
        connection.exec_driver_sql("CHECKPOINT")
        connection.invalidate()


def _load_into_sqlite(db: SqliteDatabase, work: Callable[[Connection], None]) -> None:
    """Nothing of it has to outlive a crash, and it may take the memory that it needs."""
    db.close()  # the journal can be left off only where nobody else looks
    with db.writing.connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.create_function("number_hex", 1, lambda i: hashlib.md5(b"%d" % i).hexdigest(), deterministic=True)  # noqa: S324
        driver.create_function("number_hash", 1, lambda i: hashlib.sha256(b"%d" % i).digest(), deterministic=True)
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "foreign_keys = OFF", "cache_size = -4000000"):
            driver.execute(f"PRAGMA {pragma}").close()
        with connection.begin():
            work(connection)
        connection.invalidate()


def _load_into_postgresql(tx: Connection, work: Callable[[Connection], None]) -> None:
    """As a restore does it: rows first, then keys and indexes, which is many times as fast."""
    made = tx.exec_driver_sql(
        "SELECT conrelid::regclass::text AS of, quote_ident(conname) AS name, contype::text AS kind, "
        "pg_get_constraintdef(oid) AS definition FROM pg_constraint "
        "WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'u', 'f') "
        "AND conrelid::regclass::text NOT IN ('alembic_version', 'banks', 'crls')"
    ).all()
    indexes = tx.exec_driver_sql(
        "SELECT quote_ident(indexname) AS name, indexdef AS definition FROM pg_indexes WHERE schemaname = 'public' "
        "AND indexname NOT IN (SELECT conname FROM pg_constraint)"
    ).all()
    for one in sorted(made, key=lambda one: "fup".index(one.kind)):
        tx.exec_driver_sql(f"ALTER TABLE {one.of} DROP CONSTRAINT {one.name}")
    for one in indexes:
        tx.exec_driver_sql(f"DROP INDEX {one.name}")
    work(tx)
    tx.exec_driver_sql("SET LOCAL maintenance_work_mem = '512MB'")
    for one in sorted(made, key=lambda one: "puf".index(one.kind)):
        tx.exec_driver_sql(f"ALTER TABLE {one.of} ADD CONSTRAINT {one.name} {one.definition}")
    for one in indexes:
        tx.exec_driver_sql(one.definition)
    for table in tables.metadata.sorted_tables:
        if "id" in table.c:
            sequence = f"pg_get_serial_sequence('{table.name}', 'id')"
            tx.exec_driver_sql(f"SELECT setval({sequence}, coalesce(max(id), 0) + 1, false) FROM {table.name}")  # noqa: S608


class _Rows:
    """The rows of people numbered from `first` to `last`."""

    def __init__(
        self,
        dialect: str,
        bank: str,
        verifiers: Mapping[str, str],
        der: bytes,
        spki: bytes,
        now: datetime,
        people: range,
    ) -> None:
        self._sqlite = dialect == "sqlite"
        self._bank = literal(bank)
        self._verifiers = verifiers
        self._der, self._spki = literal(der, LargeBinary), literal(spki, LargeBinary)
        self._then = literal(now - timedelta(days=100), Instant)
        self._begun = literal(now - timedelta(days=100, hours=1), Instant)
        self._later = literal(now - timedelta(days=99), Instant)
        self._over = literal(now - timedelta(days=100) + _LIFE, Instant)
        self._people = people

    def run(self, tx: Connection, first: int, last: int) -> None:
        """Write them all."""
        series, i = self._series(first, last)
        number = (i - 1) % OF_A_CONTRACT
        contract_id = self._digits((i - 1) // OF_A_CONTRACT)
        user_id = case((number == 0, null()), else_=literal("user").concat(cast(number, tables.people.c.user_id.type)))
        kind = case((number == 0, literal("administrator")), else_=literal("user"))
        actor = literal("synthetic")
        then, later = self._then, self._later
        serial, held = self._hex(i), literal("file")
        dates = {"not_before": self._begun, "not_after": self._over}
        ended = i % _ENDED_EACH == 0
        detail: Any = literal_column("'{}'" if self._sqlite else "'{}'::json")
        everyone: list[tuple[Any, dict[str, Any]]] = [
            (
                tables.people,
                {
                    "id": i, "bank": self._bank, "contract_id": contract_id, "user_id": user_id,
                    "user_key": func.coalesce(user_id, ""), "name": literal("Synthetic"), "language": literal("ja"),
                    "registered_at": then,
                },
            ),
            *(
                (
                    tables.secrets,
                    {"person_id": i, "name": literal(name), "verifier": literal(verifier), "set_at": then},
                )
                for name, verifier in self._verifiers.items()
            ),
            (
                tables.past_pins,
                {
                    "person_id": i, "name": literal("pin"), "verifier": literal(next(iter(self._verifiers.values()))),
                    "replaced_at": then,
                },
            ),
            (
                tables.mailed_codes,
                {
                    "person_id": i, "purpose": literal("acquisition"), "mail_address": literal("synthetic@example.com"),
                    "verifier": literal(next(iter(self._verifiers.values()))), "made_at": then, "expires_at": then,
                },
            ),
            (
                tables.permits,
                {"id": i, "person_id": i, "granted_at": then, "expires_at": self._over, "spent_at": then},
            ),
            (
                tables.orders,
                {
                    "id": i, "person_id": i, "permit_id": i, "kind": kind,
                    "common_name": contract_id.concat(func.coalesce(user_id, "")), "serial": serial,
                    "spki_sha256": self._hash(-i), "spki": self._spki, **dates, "held": held, "ordered_at": then,
                },
            ),
            (
                tables.certificates,
                {
                    "id": i, "order_id": i, "person_id": i, "kind": kind, "serial": serial,
                    "fingerprint": self._hash(i), **dates, "held": held, "issued_at": then,
                    "ended_at": case((ended, later), else_=null()),
                    "ending": case((ended, literal("revoked")), else_=null()),
                    "reason": case((ended, literal("superseded")), else_=null()),
                    "first_logon_at": then,
                },
            ),
            (tables.certificate_bytes, {"certificate_id": i, "der": self._der}),
            (
                tables.sessions,
                {
                    "token_sha256": self._hash(i), "person_id": i, "certificate_id": i,
                    "address": literal("192.0.2.1"), "opened_at": then, "seen_at": then, "positions": literal(""),
                    "completed_at": then, "ended_at": later, "end": literal("idle"),
                },
            ),
            *(
                (
                    tables.audit,
                    {
                        "at": at, "action": literal(action), "bank": self._bank, "contract_id": contract_id,
                        "actor": actor, "address": literal("192.0.2.1"), "person_id": i, "serial": serial,
                        "detail": detail,
                    },
                )
                for action, at in zip(_AUDITED, self._audited(i, first, last), strict=True)
            ),
            (
                tables.notices,
                {
                    "person_id": i, "at": then, "code": literal("certificate-issued"), "detail": detail,
                    "read_at": later, "mailed_at": later,
                },
            ),
        ]  # fmt: skip
        contracts = {
            "bank": self._bank, "contract_id": contract_id, "name": literal("Synthetic"), "registered_at": then,
            "opened_at": then,
        }  # fmt: skip
        of_contracts: list[Any] = list(contracts.values())
        administrators = select(*of_contracts).select_from(series).where(number == 0)
        tx.execute(insert(tables.contracts).from_select(list(contracts), administrators, include_defaults=False))
        names = {"bank": contracts["bank"], "key": literal("synthetic") + contract_id, "contract_id": contract_id}
        of_names: list[Any] = list(names.values())
        named = select(*of_names).select_from(series).where(number == 0)
        tx.execute(insert(tables.contract_names).from_select(list(names), named, include_defaults=False))
        for table, values in everyone:
            columns: list[Any] = list(values.values())
            rows = select(*columns).select_from(series)
            tx.execute(insert(table).from_select(list(values), rows, include_defaults=False))

    def _audited(self, i: ColumnElement[int], first: int, last: int) -> list[ColumnElement[Any]]:
        """Return the moments of the audit rows about each person, those of one action after those of another."""
        pace = _AUDITED_FOR.total_seconds() / (len(_AUDITED) * len(self._people))
        before = len(_AUDITED) * (first - self._people.start)
        places = [before + at * (last - first + 1) + (i - first) for at in range(len(_AUDITED))]
        return [self._after_then(cast(place * literal(pace, Float), Integer)) for place in places]

    def _after_then(self, seconds: ColumnElement[int]) -> ColumnElement[Any]:
        if not self._sqlite:
            return self._then + seconds * literal_column("interval '1 second'")
        later = literal("+").concat(cast(seconds, tables.people.c.name.type)).concat(" seconds")
        return func.strftime("%Y-%m-%d %H:%M:%S.000000", self._then, later)

    def _series(self, first: int, last: int) -> tuple[FromClause, ColumnElement[int]]:
        if not self._sqlite:
            numbers: Any = func.generate_series(first, last).table_valued("i").render_derived()
            return numbers, numbers.c.i
        start: Any = select(literal(first, Integer).label("i")).cte("numbers", recursive=True)
        counted = start.union_all(select(start.c.i + 1).where(start.c.i < last))
        return counted, counted.c.i

    def _digits(self, number: ColumnElement[Any]) -> ColumnElement[str]:
        return func.printf("%011d", number) if self._sqlite else func.to_char(number, text("'FM00000000000'"))

    def _hex(self, number: ColumnElement[int]) -> ColumnElement[str]:
        return func.number_hex(number) if self._sqlite else func.md5(cast(number, tables.people.c.name.type))

    def _hash(self, number: ColumnElement[int]) -> ColumnElement[bytes]:
        return func.number_hash(number) if self._sqlite else func.sha256(func.int8send(cast(number, BigInteger)))
