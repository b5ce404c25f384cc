"""Acquiring into a browser's database: what stands there then, what cannot be taken out, and what can."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

from cryptography import x509
from tests.browser.support.nss import NssDatabase

from tegata import exit_codes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.company_computer import CompanyComputer
    from tests.support.served import Served


def database(computer: CompanyComputer) -> NssDatabase:
    return NssDatabase(computer.home / ".pki/nssdb")


def test_certificate_and_chain_stand_in_the_database_and_the_bank_knows_how_the_key_is_held(
    bank: Served, computer: CompanyComputer
) -> None:
    done = computer.acquire(bank, bank.user("keiri02"))
    assert (done.code, done.data["code"], done.data["already"]) == (0, "certificate-acquired", False)
    (stored,) = database(computer).certificates()
    assert f"{stored.serial:032x}" == done.data["serial"]
    assert stored.common_name == done.data["common_name"] == f"{bank.info['contract']['contract_id']}keiri029990"
    listing = subprocess.run(
        ["certutil", "-O", "-n", stored.nickname, "-d", f"sql:{computer.home}/.pki/nssdb"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert listing.count('"') == 6, f"root, issuing CA and the certificate:\n{listing}"
    told = bank.sekisho("certificates", "list", "--json").stdout
    assert '"held": "file", "held_is": "claimed"' in told.splitlines()[-1]


def test_the_key_is_marked_as_not_extractable_and_a_copy_of_the_folder_has_it_all_the_same(
    bank: Served, computer: CompanyComputer, tmp_path: Path
) -> None:
    """So no more than `file` is claimed, whatever the mark says; and a person is told so."""
    done = computer.acquire(bank, bank.user("keiri02"))
    assert "NSS does not enforce the mark" in done.err
    (stored,) = database(computer).certificates()
    assert marked_extractable(computer.home / ".pki/nssdb") == [False]
    argv = ["pk12util", "-d", f"sql:{computer.home}/.pki/nssdb", "-o", str(tmp_path / "stolen.p12")]
    subprocess.run([*argv, "-n", stored.nickname, "-W", "x"], capture_output=True, check=True)
    thief = type(computer)(tmp_path / "thief")
    shutil.copytree(computer.home, thief.home, dirs_exist_ok=True)
    shutil.rmtree(computer.home)
    for record in (thief.home / ".local/state/tegata").glob("*.json"):
        record.write_text(record.read_text().replace(str(computer.home), str(thief.home)))
    told = thief.run("doctor", "--json")
    assert told.code == 0
    assert "in-force" in {line["code"] for line in told.lines}, "the thief's copy is accepted at the door"


def marked_extractable(folder: Path) -> list[bool]:
    """Return CKA_EXTRACTABLE of every key, as NSS itself tells it."""
    program = (
        "import sys; from pathlib import Path; from tegata.stores.nss import NssStore\n"
        "with NssStore(Path(sys.argv[1]), None, create=False) as store:\n"
        "    for (mark,) in store.nss.objects(store._slot, 3, 0x162): print(mark.hex())\n"
    )
    argv = [sys.executable, "-c", program, str(folder)]
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    return [mark != "00" for mark in told.split()]


def test_a_second_run_brings_the_same_certificate(bank: Served, computer: CompanyComputer) -> None:
    first = computer.acquire(bank, bank.user("keiri02"))
    second = computer.acquire(bank, bank.user("keiri02"))
    assert (second.code, second.data["already"]) == (0, True)
    assert second.data["serial"] == first.data["serial"]
    assert len(database(computer).certificates()) == 1


def test_the_administrator_and_a_user_share_one_computer(bank: Served, computer: CompanyComputer) -> None:
    """J6. The administrator's permit is spent in the demo, so the first is refused, and the user's is not touched."""
    refused = computer.acquire(bank, None)
    assert (refused.code, refused.data["reason"]) == (exit_codes.REFUSED, "permit-spent")
    assert computer.acquire(bank, bank.user("keiri02")).code == 0
    assert len(database(computer).certificates()) == 1


def test_the_records_hold_no_secret_and_are_their_owners_alone(bank: Served, computer: CompanyComputer) -> None:
    person = bank.user("keiri02")
    computer.acquire(bank, person)
    folder = computer.home / ".local/state/tegata"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for file in folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        for secret in (person["user_pin"], person["user_confirmation_pin"]):
            assert secret not in file.read_text()
    assert [record["wanted"] for record in computer.records] == [None]


def test_firefox_profiles_are_found_and_the_default_one_comes_first(tmp_path: Path) -> None:
    from tests.support.company_computer import CompanyComputer

    computer = CompanyComputer(tmp_path / "home")
    firefox = computer.home / ".mozilla/firefox"
    for name in ("aaaa.old", "bbbb.default-esr"):
        NssDatabase(firefox / name)
    (firefox / "profiles.ini").write_text(
        "[Install1]\nDefault=bbbb.default-esr\nLocked=1\n"
        "[Profile0]\nName=old\nIsRelative=1\nPath=aaaa.old\n"
        "[Profile1]\nName=default-esr\nIsRelative=1\nPath=bbbb.default-esr\nDefault=1\n"
    )
    found = [line["store"] for line in computer.run("stores", "--json").lines]
    assert found == [f"nss:{firefox}/bbbb.default-esr", f"nss:{firefox}/aaaa.old"]
    NssDatabase(computer.home / ".pki/nssdb")
    found = [line["store"] for line in computer.run("stores", "--json").lines]
    assert found[0] == f"nss:{computer.home}/.pki/nssdb"


def test_a_primary_password_is_asked_for(bank: Served, computer: CompanyComputer, tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    password = tmp_path / "password"
    password.write_text("correct horse\n")
    subprocess.run(["certutil", "-N", "-d", f"sql:{folder}", "-f", str(password)], check=True)
    person, store = bank.user("keiri02"), f"nss:{folder}"
    wrong = computer.acquire(bank, person, "--store", store, store_pin="wrong")
    assert (wrong.code, wrong.data["code"]) == (exit_codes.STORE_PIN_WRONG, "store-pin-wrong")
    none = computer.acquire(bank, person, "--store", store)
    assert (none.code, none.data["code"]) == (exit_codes.STORE_PIN_WRONG, "store-pin-missing")
    right = computer.acquire(bank, person, "--store", store, store_pin="correct horse")
    assert right.code == 0
    assert x509.load_pem_x509_certificate(_pem(folder, right.data["common_name"])).serial_number == int(
        right.data["serial"], 16
    )
    shown = computer.run("list", "--store", store, "--pin-stdin", "--json", typed=("correct horse",))
    assert [line["serial"] for line in shown.lines] == [right.data["serial"]]


def _pem(folder: Path, nickname: str) -> bytes:
    argv = ["certutil", "-L", "-d", f"sql:{folder}", "-n", nickname, "-a"]
    return subprocess.run(argv, capture_output=True, check=True).stdout


def test_removing_takes_certificate_and_key(bank: Served, computer: CompanyComputer) -> None:
    serial = computer.acquire(bank, bank.user("keiri02")).data["serial"]
    wrong = computer.run("remove", "00ff", "--yes", "--json")
    assert (wrong.code, wrong.data["code"]) == (exit_codes.NOT_FOUND, "certificate-not-found")
    assert computer.run("remove", serial, typed=("n",)).code == exit_codes.INTERRUPTED, "asked first"
    assert computer.run("remove", serial, "--yes", "--json").data["code"] == "certificate-removed"
    folder = f"sql:{computer.home}/.pki/nssdb"
    keys = subprocess.run(["certutil", "-K", "-d", folder], capture_output=True, text=True, check=False)
    assert "no keys found" in keys.stdout + keys.stderr
    assert computer.run("list", "--json").out == ""
    assert computer.records == []
