"""A demo in a process of its own, and how a test talks to it."""

from __future__ import annotations

import email
import email.policy
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]


@dataclass
class Served:
    """One data folder, served by one process after another."""

    data_dir: Path
    port_base: int
    argv: list[str] = field(default_factory=list)
    cwd: Path = ROOT
    process: subprocess.Popen[str] | None = None
    info: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)

    def start(self) -> dict[str, Any]:
        """Start it and return what its line says."""
        argv = self.argv or [sys.executable, "-m", "tests.support.serving", str(self.data_dir), str(self.port_base)]
        log = self.data_dir.with_name(self.data_dir.name + ".log").open("ab")
        with log:
            self.process = subprocess.Popen(
                argv, stdout=subprocess.PIPE, stderr=log, text=True, cwd=self.cwd, env=os.environ | self.env
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"it did not start; its log:\n{self.log()}"
        self.info = json.loads(line)
        return self.info

    def log(self) -> str:
        return self.data_dir.with_name(self.data_dir.name + ".log").read_text("utf-8", "replace")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop it and return its exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        return code

    def ended(self) -> int:
        """Wait until it has ended by itself and return its exit code."""
        assert self.process is not None
        self.process.wait(PATIENCE_S)
        return self.stop()

    def die_at(self, step: str) -> None:
        """Have it die the next time it reaches a step."""
        self._beside("reached").unlink(missing_ok=True)
        self._beside("fault").write_text(step)

    @property
    def reached(self) -> str | None:
        """The step at which it died."""
        file = self._beside("reached")
        return file.read_text() if file.exists() else None

    def break_database(self, *, broken: bool = True) -> None:
        """Have every reading of the database fail, as only a bug would make it fail, until told otherwise."""
        if broken:
            self._beside("fault").write_text("bug")
        else:
            self._beside("fault").unlink()

    def set_clock_ahead(self, **by: float) -> None:
        from datetime import timedelta

        new = self._beside("clock.new")
        new.write_text(str(timedelta(**by).total_seconds()))
        new.replace(self._beside("clock"))

    def _beside(self, name: str) -> Path:
        return self.data_dir.with_name(f"{self.data_dir.name}.{name}")

    def mailed_code(self) -> str:
        """Return the code of the last mail that carried one; it is sent before the page is answered."""
        for file in sorted(Path(self.info["outbox"]).glob("*.eml"), reverse=True):
            mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
            if code := re.search(r"^(\d{8})$", mail.get_content(), re.MULTILINE):
                return code[1]
        raise AssertionError("no code was mailed")

    def user(self, user_id: str) -> dict[str, Any]:
        return next(user for user in self.info["users"] if user["user_id"] == user_id)

    def staff(self, role: str) -> dict[str, Any]:
        return next(one for one in self.info["staff"] if one["role"] == role)

    def context(self, person: dict[str, Any] | None = None) -> ssl.SSLContext:
        """Return a client's TLS context, with a person's certificate where one is given."""
        context = ssl.create_default_context(cafile=self.info["tls_ca"])
        if person is not None:
            context.load_cert_chain(person["certificate"], person["key"])
        return context

    def sekisho(self, *arguments: str, typed: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command of the operators' on the same data; `typed` answers what it asks."""
        argv = [sys.executable, "-m", "sekisho", *arguments, "--data-dir", str(self.data_dir)]
        env = os.environ | self.env
        return subprocess.run(
            argv, capture_output=True, text=True, timeout=2 * PATIENCE_S, cwd=ROOT, env=env, check=False, input=typed
        )


def free_port_base() -> int:
    """Return the first of ten ports in a row that nobody listens on.

    Below those that the kernel gives away by itself. Test processes that run beside each other look in different
    hundreds: between the look and the listening another could take them.
    """
    beside = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 2
    hundreds = range(200 + beside, 327, 2)
    offset = os.getpid()
    for attempt in range(len(hundreds)):
        base = hundreds[(offset + attempt) % len(hundreds)] * 100
        sockets = []
        try:
            for port in range(base, base + 10):
                sockets.append(socket.socket())
                sockets[-1].bind(("127.0.0.1", port))
        except OSError:
            continue
        else:
            return base
        finally:
            for one in sockets:
                one.close()
    raise RuntimeError("no free ports")
