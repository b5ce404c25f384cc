"""What Tegata remembers between two runs: which certificate is whose, and what is under way. No secret stands there.

One file for each person and key store, readable by its owner alone, written
whole or not at all. A request is written down before it is made, so that a
run after a crash goes on with the same key.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tegata.errors import Unfinished
from tegata.identity import Person

if TYPE_CHECKING:
    from collections.abc import Iterator

ACQUIRE, RENEW = "acquire", "renew"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A key on its way to its certificate. `known` are the keys that were there before; `asked`: it was sent."""

    kind: str
    label: str
    known: tuple[str, ...] = ()
    key_id: str | None = None
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """One person's certificate in one key store. Key ids are hexadecimal."""

    url: str
    bank: str
    contract_id: str
    user_id: str | None
    store: str
    ca: str | None = None
    secure_site: str | None = None
    wanted: Wanted | None = None
    present: str | None = None
    former: tuple[str, ...] = field(default=())

    @property
    def person(self) -> Person:
        """Whose it is."""
        return Person(self.bank, self.contract_id, self.user_id)

    @property
    def file_name(self) -> str:
        """The name of its file: the same person and store always get the same one."""
        who = "\0".join([self.bank, self.contract_id, (self.user_id or "").casefold(), self.store])
        return hashlib.sha256(who.encode()).hexdigest()[:24] + ".json"


class Book:
    """All records, in one folder."""

    def __init__(self, folder: Path | None = None) -> None:
        state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
        self.folder = folder or Path(state) / "tegata"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep every other Tegata of this person out while something is changed. Raises `Unfinished`."""
        with self._writable():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Unfinished("another-at-work") from None
            yield
        finally:
            os.close(lock)

    @contextmanager
    def _writable(self) -> Iterator[None]:
        try:
            yield
        except OSError as denied:
            raise Unfinished("records-not-writable", folder=self.folder, detail=denied.strerror) from denied

    def all(self) -> list[Record]:
        """Return every record that can be read."""
        if not self.folder.is_dir():
            return []
        found = [_read(file) for file in sorted(self.folder.glob("*.json"))]
        return [record for record in found if record is not None]

    def of(self, like: Record) -> Record | None:
        """Return the record of the same person and store."""
        return _read(self.folder / like.file_name)

    def save(self, record: Record) -> Record:
        """Write a record down for good, and return it. Raises `Unfinished`."""
        file = self.folder / record.file_name
        new = file.with_suffix(".new")
        with self._writable():
            handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                json.dump(asdict(record), out, ensure_ascii=False, indent=1)
                out.flush()
                os.fsync(out.fileno())
            new.replace(file)
            folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        return record

    def forget(self, record: Record) -> None:
        """Remove a record."""
        with self._writable():
            (self.folder / record.file_name).unlink(missing_ok=True)


def _read(file: Path) -> Record | None:
    """Return a record, or None where the file is gone or is none of ours."""
    try:
        told: dict[str, Any] = json.loads(file.read_text("utf-8"))
        wanted = told.pop("wanted", None)
        record = Record(**told)
        if wanted is not None:
            wanted = Wanted(**{**wanted, "known": tuple(wanted["known"])})
        return replace(record, wanted=wanted, former=tuple(record.former))
    except (OSError, ValueError, TypeError, KeyError):
        return None
