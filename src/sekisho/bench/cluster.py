"""A throw-away PostgreSQL cluster from Debian's package, on a socket of its own: for the bench and for the tests."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from collections.abc import Sequence

_READY_S = 60
USER = "postgres"
_number = itertools.count(1)


class ClusterDidNotStart(Exception):  # noqa: N818 - names what happened
    """There is no PostgreSQL, or it did not start; the text is its log."""


def _bin() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda file: int(file.parts[-3]))
    if not found:
        raise ClusterDidNotStart("Debian's package postgresql is not installed")
    return found[-1].parent


def version() -> str:
    """Return the version of the PostgreSQL that would be started."""
    said = subprocess.run(
        [str(_bin() / "postgres"), "--version"], check=True, capture_output=True, timeout=10, text=True
    )
    return said.stdout.split()[2]


def _as_postgres(argv: Sequence[str]) -> list[str]:
    # PostgreSQL refuses to run as root. Not runuser, which stops itself where its child is stopped.
    become = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups"]
    return [*become, *argv] if os.getuid() == 0 else list(argv)


@dataclass(eq=False)
class Cluster:
    """One server; `flushes` says whether a commit waits for the disk, which most tests need not.

    `settings` are PostgreSQL's own. It runs as soon as it is made; `remove` ends it and leaves nothing behind.
    """

    flushes: bool = False
    settings: dict[str, str] = field(default_factory=dict)
    folder: Path = field(init=False)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        # Short, since a Unix socket's path may not be long, and postgres must be able to reach it.
        self.folder = Path(tempfile.mkdtemp(prefix="sekisho-pg-", dir="/tmp"))
        if os.getuid() == 0:
            account = pwd.getpwnam(USER)
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        argv = [
            str(_bin() / "initdb"),
            "-D",
            str(self.data),
            "-A",
            "trust",
            "-U",
            USER,
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        ]
        subprocess.run(_as_postgres([*argv, "--no-sync"]), check=True, capture_output=True, timeout=_READY_S, cwd="/")
        self.start()

    @property
    def data(self) -> Path:
        """Where PostgreSQL keeps everything."""
        return self.folder / "data"

    @property
    def port(self) -> str:
        """The socket's name ends with it, whether or not anybody listens there."""
        return self.settings.get("port", "5432")

    def start(self) -> None:
        """Start it and wait until it answers. Raises `ClusterDidNotStart`."""
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
            self.process = subprocess.Popen(self.command(_as_postgres(argv)), stdout=log, stderr=log, cwd="/")
        check = [str(_bin() / "pg_isready"), "-q", "-h", str(self.folder), "-p", self.port, "-U", USER]
        for _ in range(_READY_S * 20):
            if subprocess.run(check, check=False, timeout=10).returncode == 0:
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise ClusterDidNotStart(self.log())

    def command(self, argv: list[str]) -> list[str]:
        """Return how the server is run, for whoever runs it otherwise."""
        return argv

    def log(self) -> str:
        """Return what it has said."""
        return (self.folder / "log").read_text("utf-8", "replace")

    @property
    def pid(self) -> int:
        """The postmaster's process."""
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
        """Stop it and remove everything."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, sql: str, database: str = "postgres") -> None:
        """Run a statement as the superuser."""
        with psycopg.connect(
            host=str(self.folder), port=self.port, user=USER, dbname=database, autocommit=True
        ) as connection:
            connection.execute(sql)

    def url(self, database: str, user: str = USER, **more: str) -> str:
        """Return the address of a database in it, as `SEKISHO_DATABASE_URL` takes it."""
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
        """Remove a database, whoever is connected to it."""
        self.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
