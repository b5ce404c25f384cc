"""Renewal without anybody: what the timer runs, and the timer itself."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.company_computer import CompanyComputer
from tests.support.served import Served, free_port_base
from tests.support.tokens import PIN, SoftHsm
from tests.tegata.conftest import reissue

from tegata import exit_codes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.company_computer import Outcome


@pytest.fixture
def desktop(tmp_path: Path) -> Path:
    """Return a folder for PATH whose notify-send writes down what it is told, as a desktop without a display."""
    folder = tmp_path / "bin"
    folder.mkdir()
    tool = folder / "notify-send"
    tool.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {tmp_path}/told\n')
    tool.chmod(0o755)
    return folder


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path / "data", free_port_base())
    served.start()
    yield served
    served.stop()


def acquire_both(bank: Served, computer: CompanyComputer, token: SoftHsm) -> None:
    """Have keiri01's key in the browser's database, and keiri02's in a token."""
    reissue(bank, "keiri01")
    assert computer.acquire(bank, bank.user("keiri01")).code == 0
    assert computer.acquire(bank, bank.user("keiri02"), "--store", token.store, store_pin=PIN).code == 0


def due(computer: CompanyComputer, *options: str, typed: tuple[str, ...] = ()) -> Outcome:
    return computer.run("renew", "--due", "--json", *options, typed=typed)


def codes(outcome: Outcome) -> list[str]:
    return [line["code"] for line in outcome.lines]


def test_what_is_due_is_renewed_and_a_person_told_of_the_rest(bank: Served, desktop: Path, tmp_path: Path) -> None:
    assert bank.sekisho("policy", "set", "--renewal-without-pin").returncode == 0
    bank.stop()
    bank.start()
    token = SoftHsm(tmp_path / "hsm")
    computer = CompanyComputer(tmp_path / "home", token.environment)
    acquire_both(bank, computer, token)
    options: dict[str, Any] = {"typed": (PIN,)}
    early = due(computer, "--pin-stdin", **options)
    assert (early.code, codes(early)) == (0, ["not-due", "not-due"])
    assert all(line["renewal_opens"] < line["not_after"] for line in early.lines)

    bank.set_clock_ahead(days=340)
    before = {record["user_id"]: record["present"] for record in computer.records}
    path = f"{desktop}:{computer.env()['PATH']}"
    done = computer.run("renew", "--due", "--json", "--pin-stdin", "--notify", typed=(PIN,), PATH=path)
    # A key in a file could be copied, and is not renewed without its person.
    by_name = {line["common_name"][11:18]: line["code"] for line in done.lines}
    assert by_name == {"keiri01": "renewal-needs-pin", "keiri02": "certificate-renewed"}, done.err
    assert done.code == exit_codes.FOUND_SOMETHING
    after = {record["user_id"]: record["present"] for record in computer.records}
    assert after["keiri01"] == before["keiri01"]
    assert after["keiri02"] != before["keiri02"]
    told = (tmp_path / "told").read_text()
    assert "tegata renew" in told
    assert "can be used once you have logged on" in told
    assert PIN not in told

    # It waits for a logon; nothing is asked for twice.
    again = due(computer, "--pin-stdin", "--user", "keiri02", **options)
    assert (again.code, codes(again)) == (exit_codes.FOUND_SOMETHING, ["certificate-not-in-force"])
    assert {record["user_id"]: record["present"] for record in computer.records} == after


def test_trouble_with_one_does_not_keep_the_other_from_it(bank: Served, tmp_path: Path) -> None:
    token = SoftHsm(tmp_path / "hsm")
    computer = CompanyComputer(tmp_path / "home", token.environment)
    acquire_both(bank, computer, token)
    done = due(computer)  # nobody there to type the token's PIN
    assert sorted(codes(done)) == ["not-due", "store-pin-missing"]
    assert done.code == exit_codes.STORE_PIN_WRONG
    bank.stop()
    away = due(computer, "--user", "keiri01")
    assert (away.code, codes(away)) == (exit_codes.SERVER_NOT_REACHABLE, ["server-not-reachable"])


def test_nothing_here_is_nothing_due(computer: CompanyComputer) -> None:
    done = due(computer)
    assert (done.code, done.out) == (0, "")


def test_a_timer_that_systemd_understands(computer: CompanyComputer, tmp_path: Path) -> None:
    pin = tmp_path / "a folder" / "pin"
    pin.parent.mkdir()
    pin.write_text(f"{PIN}\n")
    pin.chmod(0o644)
    refused = computer.run("install-timer", "--store-pin-file", str(pin))
    assert (refused.code, "chmod 600" in refused.err) == (exit_codes.USAGE, True)
    pin.chmod(0o600)
    done = computer.run("install-timer", "--store-pin-file", str(pin))
    assert done.code == 0, done.err
    folder = computer.home / ".config" / "systemd" / "user"
    units = [folder / f"tegata-renew.{kind}" for kind in ("service", "timer")]
    assert str(units[1]) in done.out
    service = units[0].read_text()
    assert f"StandardInput=file:{pin}" in service
    assert PIN not in service
    verified = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, timeout=60, check=False
    )
    assert (verified.returncode, verified.stderr) == (0, "")


def test_the_service_does_what_its_unit_says(bank: Served, computer: CompanyComputer) -> None:
    assert computer.acquire(bank, bank.user("keiri02")).code == 0
    assert computer.run("install-timer").code == 0
    unit = (computer.home / ".config" / "systemd" / "user" / "tegata-renew.service").read_text()
    (command,) = (line.removeprefix("ExecStart=") for line in unit.splitlines() if line.startswith("ExecStart="))
    done = subprocess.run(
        command.split(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, env=computer.env(),
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "can be renewed from" in done.stdout
