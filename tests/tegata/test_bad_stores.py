"""A store that is read-only, full or not there: a plain message, an exit code, and the permit is not lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.browser.support.nss import NssDatabase
from tests.support.company_computer import CompanyComputer
from tests.support.served import ROOT
from tests.support.tokens import PIN, SoftHsm

from tegata import exit_codes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.served import Served

# File systems of the command's own, which end with it. Whoever is not root gets a user namespace.
OWN_MOUNTS = ("unshare", *(() if os.getuid() == 0 else ("--user", "--map-root-user")), "--mount", "sh", "-c")
READ_ONLY = 'mount --bind "$FOLDER" "$FOLDER" && mount -o remount,ro,bind "$FOLDER" && exec "$@"'
FULL = (
    'mount -t tmpfs -o size=192k tmpfs "$FOLDER" && cp -a "$BEHIND/." "$FOLDER/" && '
    '{ cat /dev/zero > "$FOLDER/filler" 2>/dev/null; exec "$@"; }'
)


def spoiled(computer: CompanyComputer, how: str, folder: Path) -> CompanyComputer:
    behind = folder.with_name(folder.name + ".behind")
    if not behind.exists():
        shutil.copytree(folder, behind)
    environment = computer.environment | {"FOLDER": str(folder), "BEHIND": str(behind)}
    return CompanyComputer(computer.home, environment, prefix=(*OWN_MOUNTS, how, "sh"))


@pytest.mark.parametrize(
    ("how", "code", "exit_code"),
    [
        (READ_ONLY, "store-read-only", exit_codes.STORE_READ_ONLY),
        (FULL, "store-full", exit_codes.STORE_FULL),
    ],
    ids=["read-only", "full"],
)
def test_a_browsers_database(bank: Served, computer: CompanyComputer, how: str, code: str, exit_code: int) -> None:
    person, database = bank.user("keiri02"), NssDatabase(computer.home / ".pki/nssdb")
    done = spoiled(computer, how, database.folder).acquire(bank, person)
    assert (done.data["code"], done.code) == (code, exit_code), done.err
    assert "The permit is not lost" in done.err
    assert database.certificates() == []
    assert computer.acquire(bank, person).code == 0
    assert len(database.certificates()) == 1


@pytest.mark.parametrize("how", [READ_ONLY, FULL], ids=["read-only", "full"])
def test_a_token(bank: Served, tmp_path: Path, how: str) -> None:
    """SoftHSM tells neither from any other failure, so the message is the general one."""
    person, token = bank.user("keiri02"), SoftHsm(tmp_path / "hsm")
    computer = CompanyComputer(tmp_path / "home", token.environment)
    done = spoiled(computer, how, token.folder / "tokens").acquire(bank, person, "--store", token.store, store_pin=PIN)
    allowed = {exit_codes.STORE_FAILED, exit_codes.STORE_READ_ONLY, exit_codes.STORE_FULL}
    assert done.code in allowed, done.err
    assert "The permit is not lost" in done.err
    assert computer.acquire(bank, person, "--store", token.store, store_pin=PIN).code == 0


def test_a_database_that_gets_full_when_the_certificate_has_come(
    bank: Served, computer: CompanyComputer, tmp_path: Path
) -> None:
    """The bank has spent the permit by then; the second run has room, the same key, and gets the certificate."""
    person = bank.user("keiri02")
    folder = computer.home / ".pki/nssdb"
    folder.mkdir(parents=True)
    typed = tmp_path / "typed"
    typed.write_text(f"{person['user_pin']}\n{person['user_confirmation_pin']}\n")
    info = bank.info
    argv = [
        *(sys.executable, "-m", "tests.support.dying_tegata", "acquire", "--url", info["urls"]["public"]),
        *("--bank", "9990", "--contract", info["contract"]["contract_id"], "--user", "keiri02"),
        *("--ca", info["tls_ca"], "--pin-stdin"),
    ]
    script = (
        'mount -t tmpfs -o size=512k tmpfs "$FOLDER" || exit 99; "$@" < "$TYPED"; echo "first $?"; '
        'certutil -K -d "sql:$FOLDER" | grep "^<"; rm "$FOLDER/filler"; unset TEGATA_DIES_AT; '
        '"$@" < "$TYPED" > /dev/null; echo "second $?"; certutil -K -d "sql:$FOLDER" | grep "^<"; '
        'certutil -L -d "sql:$FOLDER" | grep -c u,u,u'
    )
    environment = computer.env() | {
        "FOLDER": str(folder),
        "TYPED": str(typed),
        "TEGATA_DIES_AT": "answered",
        "TEGATA_DIED": str(tmp_path / "reached"),
        "TEGATA_MEETS": f"cat /dev/zero > {folder}/filler; true",
    }
    done = subprocess.run(
        [*OWN_MOUNTS, script, "sh", *argv],
        capture_output=True,
        text=True,
        timeout=90,
        env=environment,
        cwd=ROOT,
        check=False,
    )
    assert (tmp_path / "reached").read_text() == "answered", done.stderr
    first, key, second, key_again, certificates = done.stdout.splitlines()
    assert (first, second, certificates) == (f"first {exit_codes.STORE_FULL}", "second 0", "1"), done.stderr
    assert key.split()[3] == key_again.split()[3], "the same key"


def test_records_that_cannot_be_written(bank: Served, computer: CompanyComputer) -> None:
    person = bank.user("keiri02")
    (computer.home / ".local").mkdir()
    (computer.home / ".local/state").write_text("a file where a folder belongs")
    done = computer.acquire(bank, person)
    assert (done.data["code"], done.code) == ("records-not-writable", exit_codes.RECORDS_NOT_WRITABLE), done.err
    assert not (computer.home / ".pki").exists()


def test_a_database_that_is_damaged(bank: Served, computer: CompanyComputer) -> None:
    database = NssDatabase(computer.home / ".pki/nssdb")
    for name in ("cert9.db", "key4.db"):
        (database.folder / name).write_bytes(b"no database" * 1000)
    done = computer.acquire(bank, bank.user("keiri02"))
    assert (done.data["code"], done.code) == ("store-failed", exit_codes.STORE_FAILED), done.err


def test_a_folder_for_a_new_database_that_cannot_be_made(bank: Served, computer: CompanyComputer) -> None:
    (computer.home / "file").write_text("")
    done = computer.acquire(bank, bank.user("keiri02"), "--store", f"nss:{computer.home}/file/db")
    assert (done.data["code"], done.code) == ("store-read-only", exit_codes.STORE_READ_ONLY), done.err
