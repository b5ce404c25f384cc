"""PostgreSQL from Debian's package: a cluster that the tests share, and what befalls one on a bad day."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from tests.support.disks import on_small_disk

from sekisho.bench import cluster
from sekisho.bench.cluster import USER

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(eq=False)
class Cluster(cluster.Cluster):
    """A throw-away server that can be frozen, crowded, and given a disk that is soon full."""

    # Where given, databases lie on a file system of that size, and everything else does not.
    small_disk_mb: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.small_disk_mb is not None:
            self.run(f"CREATE TABLESPACE small LOCATION '{self.small_disk}'")

    @property
    def small_disk(self) -> Path:
        return self.folder / "small"

    def command(self, argv: list[str]) -> list[str]:
        if self.small_disk_mb is None:
            return argv
        self.small_disk.mkdir(exist_ok=True)
        return on_small_disk(self.small_disk, self.small_disk_mb, argv, owner=USER)

    def pids(self) -> list[int]:
        """Return the server's processes, the first of them the one that starts the others."""
        return [self.pid, *children(self.pid)]

    def freeze(self) -> None:
        """Stop every process where it stands: connections stay open, and nothing answers any more."""
        os.kill(self.pid, signal.SIGSTOP)  # first, so that it starts no other meanwhile
        for pid in children(self.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in reversed(self.pids()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def remove(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.thaw()
        super().remove()

    def connections(self) -> int:
        """Return how many connections Sekisho holds."""
        return int(self.ask("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sekisho'")[0][0])

    def ask(self, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Return the rows that the superuser gets."""
        with self._connect(database, USER) as connection:
            return connection.execute(sql).fetchall()

    @contextmanager
    def full_but_for(self, places: int) -> Iterator[None]:
        """Hold all connections that an ordinary role may have, as other programs would, but for so many."""
        self.run("DROP ROLE IF EXISTS crowd")
        self.run("CREATE ROLE crowd LOGIN SUPERUSER")
        held = []
        try:
            with suppress(psycopg.OperationalError):
                while True:
                    held.append(self._connect("postgres", "crowd"))
            for _ in range(places):
                held.pop().close()
            yield
        finally:
            for connection in held:
                connection.close()

    def new_database(self, template: str | None = None) -> str:
        name = super().new_database(template)
        if self.small_disk_mb is not None:
            self.run(f"ALTER DATABASE {name} SET TABLESPACE small")
        return name

    def _connect(self, database: str, user: str) -> psycopg.Connection[Any]:
        return psycopg.connect(host=str(self.folder), port=self.port, user=user, dbname=database, autocommit=True)


def children(parent: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(folder.name))
    return found


_shared: list[Cluster] = []


def shared_cluster() -> Cluster:
    """Return the cluster that tests share; each makes databases of its own in it. `close_shared` ends it."""
    if not _shared:
        _shared.append(Cluster())
    return _shared[0]


def close_shared() -> None:
    while _shared:
        _shared.pop().remove()
