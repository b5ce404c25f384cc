"""A company computer on which `tegata` runs: a home of its own, and whatever its key stores need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.served import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.served import Served

PATIENCE_S = 90


@dataclass
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> dict[str, Any]:
        """The last line of JSON."""
        told: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return told

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class CompanyComputer:
    """Runs Tegata as a person at this computer would. `shell` is put before each command."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    module: str = "tegata"
    prefix: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)

    def env(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("XDG_", "LC_")) and not name.lower().endswith("_proxy")
        }
        return {**kept, "HOME": str(self.home), "LANG": "en_US.UTF-8", **self.environment}

    def run(self, *arguments: str, typed: tuple[str, ...] = (), **more: str) -> Outcome:
        """Run a command with lines on its standard input."""
        argv = [*self.prefix, sys.executable, "-m", self.module, *arguments]
        done = subprocess.run(
            argv,
            input="".join(f"{line}\n" for line in typed),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            env=self.env() | more,
            cwd=ROOT,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Outcome(done.returncode, done.stdout, done.stderr)

    def acquire(
        self, served: Served, person: dict[str, Any] | None, *options: str, store_pin: str | None = None, **changed: str
    ) -> Outcome:
        """Acquire for one of the demo's users, or, without one, its administrator."""
        contract = served.info["contract"]
        pins = (
            (contract["contract_pin"], contract["contract_confirmation_pin"])
            if person is None
            else (person["user_pin"], person["user_confirmation_pin"])
        )
        typed = (changed.get("pin", pins[0]), changed.get("confirmation_pin", pins[1]))
        who = () if person is None else ("--user", person["user_id"])
        url = changed.get("url", served.info["urls"]["public"])
        ca = changed.get("ca", served.info["tls_ca"])
        return self.run(
            *("acquire", "--url", url, "--bank", served.info["bank"]["code"]),
            *("--contract", contract["contract_id"], *who, "--ca", ca, "--pin-stdin", "--json", *options),
            typed=typed if store_pin is None else (*typed, store_pin),
        )

    def renew(
        self, person: dict[str, Any], *options: str, pin: str | None = None, store_pin: str | None = None
    ) -> Outcome:
        typed = (pin or person["user_pin"], *(() if store_pin is None else (store_pin,)))
        return self.run("renew", "--user", person["user_id"], "--pin-stdin", "--json", *options, typed=typed)

    @property
    def records(self) -> list[dict[str, Any]]:
        folder = self.home / ".local/state/tegata"
        return [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
