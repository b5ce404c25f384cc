"""PostgreSQL from Debian's package: a cluster of the tests' own, on a socket of its own."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from tests.support.disks import on_small_disk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_READY_S = 60
_USER = "postgres"


def _bin() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda file: int(file.parts[-3]))
    assert found, "Debian's package postgresql is not installed"
    return found[-1].parent


def _as_postgres(argv: Sequence[str]) -> list[str]:
    """PostgreSQL refuses to run as root."""
    return ["runuser", "-u", _USER, "--", *argv] if os.getuid() == 0 else list(argv)


def _becoming_postgres(argv: Sequence[str]) -> list[str]:
    # Not runuser, which stops itself where its child is stopped.
    return ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--init-groups", *argv]


@dataclass(eq=False)
class Cluster:
    """One server; `flushes` says whether a commit waits for the disk, which most tests need not."""

    flushes: bool = False
    # Where given, databases lie on a file system of that size, and everything else does not.
    small_disk_mb: int | None = None
    settings: dict[str, str] = field(default_factory=dict)
    folder: Path = field(init=False)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        # Short, since a Unix socket's path may not be long, and postgres must be able to reach it.
        self.folder = Path(tempfile.mkdtemp(prefix="sekisho-pg-", dir="/tmp"))
        if os.getuid() == 0:
            account = pwd.getpwnam(_USER)
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        self.small_disk.mkdir()
        argv = [
            str(_bin() / "initdb"),
            "-D",
            str(self.data),
            "-A",
            "trust",
            "-U",
            _USER,
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        ]
        subprocess.run(_as_postgres([*argv, "--no-sync"]), check=True, capture_output=True, timeout=_READY_S, cwd="/")
        self.start()
        if self.small_disk_mb is not None:
            self.run(f"CREATE TABLESPACE small LOCATION '{self.small_disk}'")

    @property
    def small_disk(self) -> Path:
        return self.folder / "small"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        given = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "fsync": "on" if self.flushes else "off",
            "max_connections": "200",
            "logging_collector": "off",
            **self.settings,
        }
        argv = [str(_bin() / "postgres"), "-D", str(self.data)]
        for name, value in given.items():
            argv += ["-c", f"{name}={value}"]
        log = (self.folder / "log").open("ab")
        with log:
            if self.small_disk_mb is not None:
                argv = on_small_disk(self.small_disk, self.small_disk_mb, _becoming_postgres(argv), owner=_USER)
            elif os.getuid() == 0:
                argv = _becoming_postgres(argv)
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, cwd="/")
        check = [str(_bin() / "pg_isready"), "-q", "-h", str(self.folder), "-U", _USER]
        for _ in range(_READY_S * 20):
            if subprocess.run(check, check=False, timeout=10).returncode == 0:
                return
            assert self.process.poll() is None, self.log()
        raise AssertionError(self.log())

    def log(self) -> str:
        return (self.folder / "log").read_text("utf-8", "replace")

    @property
    def pid(self) -> int:
        return int((self.data / "postmaster.pid").read_text().splitlines()[0])

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT is PostgreSQL's fast shutdown, SIGQUIT its crash."""
        if self.process is None:
            return
        if self.process.poll() is None:
            os.kill(self.pid, number)
        self.process.wait(_READY_S)
        self.process = None

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

    def connections(self) -> int:
        """Return how many connections Sekisho holds."""
        with psycopg.connect(host=str(self.folder), user=_USER, dbname="postgres") as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sekisho'"
            ).fetchone()
        assert row is not None
        return int(row[0])

    def remove(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.thaw()
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, sql: str, database: str = "postgres") -> None:
        """Run a statement as the superuser."""
        with psycopg.connect(host=str(self.folder), user=_USER, dbname=database, autocommit=True) as connection:
            connection.execute(sql)

    def ask(self, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Return the rows that the superuser gets."""
        with psycopg.connect(host=str(self.folder), user=_USER, dbname=database, autocommit=True) as connection:
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
                    held.append(psycopg.connect(host=str(self.folder), user="crowd", dbname="postgres"))
            for _ in range(places):
                held.pop().close()
            yield
        finally:
            for connection in held:
                connection.close()

    def url(self, database: str, user: str = _USER, **more: str) -> str:
        query = "&".join(f"{name}={value}" for name, value in {"host": str(self.folder), **more}.items())
        return f"postgresql://{user}@/{database}?{query}"

    def new_database(self, template: str | None = None) -> str:
        """Make a database of its own and return its name."""
        name = f"t{next(_number)}"
        where = " TABLESPACE small" if self.small_disk_mb is not None else ""
        self.run(f"CREATE DATABASE {name}{where}" + (f" TEMPLATE {template} STRATEGY file_copy" if template else ""))
        return name

    def drop_database(self, name: str) -> None:
        self.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def children(parent: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(folder.name))
    return found


_number = itertools.count(1)
_shared: list[Cluster] = []


def shared_cluster() -> Cluster:
    """Return the cluster that tests share; each makes databases of its own in it. `close_shared` ends it."""
    if not _shared:
        _shared.append(Cluster())
    return _shared[0]


def close_shared() -> None:
    while _shared:
        _shared.pop().remove()
