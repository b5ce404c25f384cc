"""Where in the journal each serial number is: an SQLite file that is made anew from the journal where it is missing.

It may lag behind the journal. How far it goes stands in it, written in the
same transaction, and what comes after is read from the journal again.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sekisho.ca.blocks import START, JournalBroken

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

log = logging.getLogger("sekisho.ca")
_VERSION = 2
_AT_ONCE = 256
_TABLES = """
CREATE TABLE certified (serial BLOB PRIMARY KEY, place INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE ended (serial BLOB PRIMARY KEY, at INTEGER NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE contracts (slot INTEGER PRIMARY KEY, label BLOB NOT NULL UNIQUE, last_end INTEGER NOT NULL);
CREATE TABLE latest (n INTEGER PRIMARY KEY, ended INTEGER NOT NULL, serial BLOB NOT NULL);
CREATE TABLE upto (segment INTEGER, octet INTEGER, number INTEGER, digest BLOB, slots INTEGER, certificates INTEGER);
"""
# While the index is made anew, rows come in no order: sorted once they cost a third of what they cost one by one.
_UNSORTED = "CREATE TABLE unsorted (serial BLOB, place INTEGER)"


@dataclass(frozen=True, slots=True)
class Upto:
    """How far the journal is known: behind the block `number - 1`, which ends there and has this digest.

    `slots` is how many slots were given to contracts, `certificates` how many
    were signed.
    """

    segment: int = 1
    octet: int = 0
    number: int = 1
    digest: bytes = START
    slots: int = 0
    certificates: int = 0


class JournalIndex:
    """The index of one journal. One thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = _opened(path)
        self._unsorted = False

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def upto(self) -> Upto:
        """Return how far it goes."""
        row = self._db.execute("SELECT * FROM upto").fetchone()
        return Upto() if row is None else Upto(*row)

    def latest(self) -> list[tuple[bool, bytes]]:
        """Return what was noted last, the oldest first."""
        rows = self._db.execute("SELECT ended, serial FROM latest ORDER BY n").fetchall()
        return [(bool(ended), serial) for ended, serial in rows]

    def begin_anew(self) -> None:
        """Take in a whole journal, to be ended with `sort`."""
        self._db.execute(_UNSORTED)
        self._unsorted = True

    def sort(self) -> None:
        """Put what was taken in in order. Raises `JournalBroken` where a serial number comes twice."""
        with self._transaction():
            try:
                self._db.execute("INSERT INTO certified SELECT serial, place FROM unsorted ORDER BY serial")
            except sqlite3.IntegrityError as twice:
                raise JournalBroken("the journal names a serial number twice") from twice
            self._db.execute("DROP TABLE unsorted")
        self._unsorted = False

    def save(
        self,
        upto: Upto,
        certified: Iterable[tuple[bytes, int]],
        ended: Iterable[tuple[bytes, int, str]],
        contracts: Iterable[tuple[int, bytes]],
        last_ends: Iterable[tuple[int, int]],
        latest: Iterable[tuple[bool, bytes]],
    ) -> None:
        """Take in what the journal says up to there: serials and places, what ended, labels of slots, their last ends.

        `latest` takes the place of what was noted last before.

        Raises `JournalBroken` where a serial number comes twice.
        """
        with self._transaction():
            try:
                table = "unsorted" if self._unsorted else "certified"
                self._db.executemany(f"INSERT INTO {table} VALUES (?, ?)", certified)  # noqa: S608 - one of two names
                self._db.executemany("INSERT INTO ended VALUES (?, ?, ?)", ended)
            except sqlite3.IntegrityError as twice:
                raise JournalBroken("the journal names a serial number twice") from twice
            self._db.executemany("INSERT INTO contracts VALUES (?, ?, 0)", contracts)
            self._db.executemany("UPDATE contracts SET last_end = max(last_end, ?2) WHERE slot = ?1", last_ends)
            self._db.execute("DELETE FROM latest")
            self._db.executemany("INSERT INTO latest (ended, serial) VALUES (?, ?)", latest)
            self._db.execute("DELETE FROM upto")
            self._db.execute(
                "INSERT INTO upto VALUES (?, ?, ?, ?, ?, ?)",
                (upto.segment, upto.octet, upto.number, upto.digest, upto.slots, upto.certificates),
            )

    def places(self, serials: Sequence[bytes]) -> dict[bytes, int]:
        """Return where certificates stand in the journal, by serial."""
        return self._among("SELECT serial, place FROM certified WHERE serial IN", serials)

    def ended(self, serial: bytes) -> tuple[int, str] | None:
        """Return when and why a certificate was ended."""
        return self._db.execute("SELECT at, reason FROM ended WHERE serial = ?", (serial,)).fetchone()  # type: ignore[no-any-return]  # as the table says

    def unknown_ended(self, serials: Sequence[bytes]) -> set[bytes]:
        """Return those of which it is not known that they were ended."""
        self._db.execute("CREATE TEMP TABLE IF NOT EXISTS asked (serial BLOB)")
        with self._transaction():
            self._db.execute("DELETE FROM asked")
            self._db.executemany("INSERT INTO asked VALUES (?)", ((serial,) for serial in serials))
            rows = self._db.execute(
                "SELECT serial FROM asked WHERE NOT EXISTS (SELECT 1 FROM ended WHERE ended.serial = asked.serial)"
            ).fetchall()
            self._db.execute("DELETE FROM asked")
        return {row[0] for row in rows}

    def slots(self, labels: Sequence[bytes]) -> dict[bytes, int]:
        """Return the slots of contracts' keys, by label, of those that have one."""
        return self._among("SELECT label, slot FROM contracts WHERE label IN", labels)

    def last_end(self, slot: int) -> int | None:
        """Return when the last certificate under a slot ends, in seconds, or None where nobody has the slot."""
        row = self._db.execute("SELECT last_end FROM contracts WHERE slot = ?", (slot,)).fetchone()
        return None if row is None else int(row[0])

    def forget(self, slot: int) -> None:
        """Forget whose a slot was."""
        self._db.execute("DELETE FROM contracts WHERE slot = ?", (slot,))
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def certified_after(self, serial: bytes, most: int) -> list[tuple[bytes, int]]:
        """Return certificates and their places in the order of their serials, from after one on."""
        return self._db.execute(
            "SELECT serial, place FROM certified WHERE serial > ? ORDER BY serial LIMIT ?", (serial, most)
        ).fetchall()

    def ended_after(self, serial: bytes, most: int) -> list[tuple[bytes, int, str]]:
        """Return what was ended in the order of the serials, from after one on."""
        return self._db.execute(
            "SELECT serial, at, reason FROM ended WHERE serial > ? ORDER BY serial LIMIT ?", (serial, most)
        ).fetchall()

    def _among(self, select: str, keys: Sequence[bytes]) -> dict[bytes, int]:
        """Return what a SELECT of a key and a number that ends in IN finds of keys."""
        found: dict[bytes, int] = {}
        for at in range(0, len(keys), _AT_ONCE):
            some = keys[at : at + _AT_ONCE]
            found |= dict(self._db.execute(f"{select} ({','.join('?' * len(some))})", some))
        return found

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            # On a full disk SQLite has rolled it back already.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise


def _opened(path: Path) -> sqlite3.Connection:
    """Open the file; one that is not of this version, or was left half made, is thrown away and begun anew."""
    try:
        db = _connected(path)
        if _usable(db):
            return db
        db.close()
    except sqlite3.DatabaseError as damaged:
        log.warning("%s cannot be used (%s) and is made anew", path, damaged)
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    db = _connected(path)
    db.executescript(_TABLES + f"PRAGMA user_version = {_VERSION};")
    path.chmod(0o600)
    return db


def _connected(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    # NORMAL: a crash of the machine may lose the last transactions, and never mixes them up.
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "secure_delete=ON", "cache_size=-16384"):
        db.execute(f"PRAGMA {pragma}")
    return db


def _usable(db: sqlite3.Connection) -> bool:
    half_made = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'unsorted'").fetchone() is not None
    return not half_made and db.execute("PRAGMA user_version").fetchone()[0] == _VERSION
