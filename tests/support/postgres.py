"""PostgreSQL from Debian's package: a cluster of the tests' own, on a socket of its own."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from collections.abc import Sequence

_READY_S = 60
_USER = "postgres"


def _bin() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda file: int(file.parts[-3]))
    assert found, "Debian's package postgresql is not installed"
    return found[-1].parent


def _as_postgres(argv: Sequence[str]) -> list[str]:
    """PostgreSQL refuses to run as root."""
    return ["runuser", "-u", _USER, "--", *argv] if os.getuid() == 0 else list(argv)


@dataclass(eq=False)
class Cluster:
    """One server; `flushes` says whether a commit waits for the disk, which most tests need not."""

    flushes: bool = False
    settings: dict[str, str] = field(default_factory=dict)
    folder: Path = field(init=False)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        # Short, since a Unix socket's path may not be long, and postgres must be able to reach it.
        self.folder = Path(tempfile.mkdtemp(prefix="sekisho-pg-", dir="/tmp"))
        if os.getuid() == 0:
            account = pwd.getpwnam(_USER)
            os.chown(self.folder, account.pw_uid, account.pw_gid)
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

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def port(self) -> str:
        """The socket's name ends with it, whether or not anybody listens there."""
        return self.settings.get("port", "5432")

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
            self.process = subprocess.Popen(_as_postgres(argv), stdout=log, stderr=log, cwd="/")
        check = [str(_bin() / "pg_isready"), "-q", "-h", str(self.folder), "-p", self.port, "-U", _USER]
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

    def remove(self) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, sql: str, database: str = "postgres") -> None:
        """Run a statement as the superuser."""
        with psycopg.connect(
            host=str(self.folder), port=self.port, user=_USER, dbname=database, autocommit=True
        ) as connection:
            connection.execute(sql)

    def url(self, database: str, user: str = _USER, **more: str) -> str:
        query = "&".join(
            f"{name}={value}" for name, value in {"host": str(self.folder), "port": self.port, **more}.items()
        )
        return f"postgresql://{user}@/{database}?{query}"

    def new_database(self, template: str | None = None) -> str:
        """Make a database of its own and return its name."""
        name = f"t{next(_number)}"
        self.run(f"CREATE DATABASE {name}" + (f" TEMPLATE {template} STRATEGY file_copy" if template else ""))
        return name

    def drop_database(self, name: str) -> None:
        self.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


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
