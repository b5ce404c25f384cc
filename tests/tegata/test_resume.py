"""SIGKILL at every step, and a second run: the same key, one certificate, nothing left over."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.browser.support.nss import NssDatabase
from tests.support.company_computer import CompanyComputer
from tests.support.served import ROOT
from tests.support.tokens import PIN, SoftHsm

from tegata import exit_codes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.served import Served


def acquire_argv(bank: Served, person: dict[str, Any], *options: str) -> list[str]:
    info = bank.info
    return [
        *("acquire", "--url", info["urls"]["public"], "--bank", "9990", "--contract", info["contract"]["contract_id"]),
        *("--user", person["user_id"], "--ca", info["tls_ca"], "--pin-stdin", "--json", *options),
    ]


def die(computer: CompanyComputer, step: str, argv: list[str], typed: list[str]) -> None:
    """Run a command that kills itself at a step, and see that it got there."""
    died = computer.home.with_name("died")
    died.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.dying_tegata", *argv],
        input="".join(f"{line}\n" for line in typed),
        capture_output=True,
        text=True,
        timeout=90,
        cwd=ROOT,
        env=computer.env() | {"TEGATA_DIES_AT": step, "TEGATA_DIED": str(died)},
        check=False,
    )
    assert done.returncode == -9, done.stderr
    assert died.read_text() == step


def pins(person: dict[str, Any]) -> list[str]:
    return [person["user_pin"], person["user_confirmation_pin"]]


def nss_keys(computer: CompanyComputer) -> list[str]:
    argv = ["certutil", "-K", "-d", f"sql:{computer.home}/.pki/nssdb"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return [line.split()[3] for line in done.stdout.splitlines() if line.startswith("<")]


def certificates_of(served: Served, user_id: str) -> int:
    return served.sekisho("certificates", "list").stdout.count(user_id)


@pytest.mark.parametrize(
    "step", ["planned", "key-unlabelled", "key-made", "asking", "answered", "installed", "recorded"]
)
def test_in_a_browsers_database(bank: Served, computer: CompanyComputer, step: str) -> None:
    # A key of somebody else's, without a name, that must not be taken for ours.
    other = NssDatabase(computer.home / ".pki/nssdb")
    noise = computer.home / "noise"
    noise.write_bytes(bytes(range(256)) * 8)
    argv = ["certutil", "-G", "-k", "ec", "-q", "nistp256", "-d", f"sql:{other.folder}", "-z", str(noise)]
    subprocess.run(argv, capture_output=True, check=True, input=b"\n")
    (others,) = nss_keys(computer)

    person, issued_before = bank.user("keiri02"), certificates_of(bank, "keiri02")
    die(computer, step, acquire_argv(bank, person), pins(person))
    made = set(nss_keys(computer)) - {others}
    assert len(made) == (0 if step == "planned" else 1)

    done = computer.acquire(bank, person)
    assert done.code == 0, done.err
    assert done.data["already"] == (step == "recorded")
    after = set(nss_keys(computer)) - {others}
    assert len(after) == 1
    assert not made or after == made, "the same key"
    assert len(other.certificates()) == 1
    (record,) = computer.records
    assert (record["wanted"], record["present"]) == (None, after.pop())
    assert certificates_of(bank, "keiri02") == issued_before + 1, "one certificate was issued"


@pytest.mark.parametrize("step", ["key-made", "answered"])
def test_in_a_token(bank: Served, tmp_path: Path, step: str) -> None:
    token = SoftHsm(tmp_path / "hsm")
    computer = CompanyComputer(tmp_path / "home", token.environment)
    person, issued_before = bank.user("keiri02"), certificates_of(bank, "keiri02")
    die(computer, step, acquire_argv(bank, person, "--store", token.store), [*pins(person), PIN])
    before = token.tool("--list-objects", "--type", "privkey").stdout
    done = computer.acquire(bank, person, "--store", token.store, store_pin=PIN)
    assert done.code == 0, done.err
    assert token.tool("--list-objects", "--type", "privkey").stdout == before
    assert certificates_of(bank, "keiri02") == issued_before + 1


@pytest.mark.parametrize("step", ["after tx 1", "before the answer"])
def test_the_bank_dies_and_the_answer_is_lost(served: Served, computer: CompanyComputer, step: str) -> None:
    person = served.user("keiri02")
    served.die_at(step)
    lost = computer.acquire(served, person)
    assert lost.code == exit_codes.SERVER_NOT_REACHABLE, lost.err
    served.ended()
    assert served.reached == step
    (key,) = nss_keys(computer)
    assert computer.records[0]["wanted"]["asked"] is True
    # A wrong PIN says nothing about what became of the first request, so the key is kept.
    served.start()
    wrong = computer.acquire(served, person, pin="wrong111")
    assert (wrong.code, wrong.data["reason"]) == (exit_codes.REFUSED, "not-accepted")
    assert nss_keys(computer) == [key]
    done = computer.acquire(served, person)
    assert done.code == 0, done.err
    assert nss_keys(computer) == [key]
    assert served.sekisho("certificates", "list").stdout.count("keiri02") == 1


def test_what_is_under_way_is_told_and_can_be_given_up(bank: Served, computer: CompanyComputer) -> None:
    person = bank.user("keiri02")
    die(computer, "key-made", acquire_argv(bank, person), pins(person))
    told = computer.run("list")
    assert "a certificate is under way" in told.err
    doctor = computer.run("doctor", "--json")
    assert (doctor.code, doctor.lines[0]["code"]) == (exit_codes.FOUND_SOMETHING, "unfinished")
    assert computer.run("remove", "--unfinished", "--json").data["code"] == "unfinished-removed"
    assert (nss_keys(computer), computer.records) == ([], [])


def test_two_at_once(bank: Served, computer: CompanyComputer) -> None:
    import fcntl

    person = bank.user("keiri02")
    folder = computer.home / ".local/state/tegata"
    folder.mkdir(parents=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = computer.acquire(bank, person)
    assert (done.code, done.data["code"]) == (exit_codes.ANOTHER_AT_WORK, "another-at-work")
    assert computer.acquire(bank, person).code == 0
