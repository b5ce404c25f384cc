"""A key that is made in a token and stays there: SoftHSM 2, and a TPM 2.0 through tpm2-pkcs11."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.support.company_computer import CompanyComputer
from tests.support.tokens import PIN, SOFTHSM, SoftHsm, Tpm

from tegata import exit_codes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.served import Served

# What another program learns of the private keys of a token: C_GetAttributeValue, as PKCS#11 has it.
LOOK = """
import sys, pkcs11
from pkcs11 import Attribute as A, ObjectClass
module, label, pin = sys.argv[1:]
token = next(t for t in pkcs11.lib(module).get_tokens() if t.label == label)
with token.open(user_pin=pin) as session:
    for key in list(session.get_objects({A.CLASS: ObjectClass.PRIVATE_KEY})):
        print(*(int(key[a]) for a in (A.SENSITIVE, A.EXTRACTABLE, A.NEVER_EXTRACTABLE, A.LOCAL)), end=" ")
        try:
            print("read", key[A.VALUE].hex())
        except (pkcs11.exceptions.AttributeSensitive, pkcs11.exceptions.AttributeTypeInvalid) as refused:
            print("refused", type(refused).__name__)
    ids = [[bytes(o[A.ID]) for o in list(session.get_objects({A.CLASS: kind}))]
           for kind in (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY, ObjectClass.CERTIFICATE)]
    print("same id" if ids[0] == ids[1] == ids[2] and len(ids[0]) == 1 else ids)
"""


def look(token: SoftHsm | Tpm) -> list[str]:
    argv = [sys.executable, "-c", LOOK, token.module, token.label, PIN]
    done = subprocess.run(
        argv, capture_output=True, text=True, env=os.environ | token.environment, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def token(tmp_path: Path) -> SoftHsm:
    return SoftHsm(tmp_path / "hsm")


@pytest.fixture
def office(tmp_path: Path, token: SoftHsm) -> CompanyComputer:
    return CompanyComputer(tmp_path / "office", token.environment)


@pytest.fixture
def tpm(tmp_path: Path) -> Iterator[Tpm]:
    with Tpm(tmp_path / "tpm") as running:
        yield running


def test_the_key_is_made_in_the_token_and_cannot_be_read(bank: Served, token: SoftHsm, office: CompanyComputer) -> None:
    done = office.acquire(bank, bank.user("keiri02"), "--store", token.store, store_pin=PIN)
    assert (done.code, done.data["key_held_claimed"]) == (0, "token")
    assert "cannot be taken out" in done.err
    assert look(token) == ["1 0 1 1 refused AttributeSensitive", "same id"]
    assert '"held": "token"' in bank.sekisho("certificates", "list", "--json").stdout
    shown = office.run("list", "--store", token.store, "--json")
    assert [line["serial"] for line in shown.lines] == [done.data["serial"]], "no PIN is needed to see certificates"


def test_pk12util_cannot_take_the_key_out(
    bank: Served, token: SoftHsm, office: CompanyComputer, tmp_path: Path
) -> None:
    done = office.acquire(bank, bank.user("keiri02"), "--store", token.store, store_pin=PIN)
    database = tmp_path / "nssdb"
    database.mkdir()
    env = os.environ | token.environment
    for argv in (
        ["certutil", "-N", "--empty-password", "-d", f"sql:{database}"],
        ["modutil", "-dbdir", f"sql:{database}", "-add", "office", "-libfile", token.module, "-force"],
    ):
        subprocess.run(argv, check=True, capture_output=True, env=env)
    password = tmp_path / "pin"
    password.write_text(f"office:{PIN}\n")
    nickname = f"{token.label}:{done.data['common_name']}"
    listed = subprocess.run(
        ["certutil", "-L", "-d", f"sql:{database}", "-h", "office", "-f", str(password)],
        capture_output=True,
        text=True,
        check=True,
        env=env,
    )
    assert "u,u,u" in listed.stdout, "NSS finds the key beside the certificate"
    out = tmp_path / "stolen.p12"
    argv = ["pk12util", "-o", str(out), "-d", f"sql:{database}", "-n", nickname, "-W", "x", "-k", str(password)]
    taken = subprocess.run([*argv, "-h", "office"], capture_output=True, text=True, env=env, check=False)
    assert taken.returncode != 0, taken.stdout
    assert not out.exists() or out.stat().st_size == 0


def test_wrong_and_missing_pins_of_the_token(bank: Served, token: SoftHsm, office: CompanyComputer) -> None:
    person = bank.user("keiri02")
    wrong = office.acquire(bank, person, "--store", token.store, store_pin="999999")
    assert (wrong.code, wrong.data["code"]) == (exit_codes.STORE_PIN_WRONG, "store-pin-wrong")
    missing = office.acquire(bank, person, "--store", token.store)
    assert (missing.code, missing.data["code"]) == (exit_codes.STORE_PIN_WRONG, "store-pin-missing")
    assert office.records == []
    assert office.acquire(bank, person, "--store", token.store, store_pin=PIN).code == 0, "the permit is untouched"


@pytest.mark.parametrize(
    ("store", "code", "exit_code"),
    [
        ("pkcs11:/no/such/module.so", "store-missing", exit_codes.STORE_MISSING),
        ("pkcs11:/bin/true", "store-failed", exit_codes.STORE_FAILED),
        (f"pkcs11:{SOFTHSM}:another", "store-missing", exit_codes.STORE_MISSING),
        ("windows", "store-not-here-yet", exit_codes.STORE_NOT_HERE_YET),
        ("macos", "store-not-here-yet", exit_codes.STORE_NOT_HERE_YET),
        ("tape:/dev/st0", "store-unknown", exit_codes.USAGE),
    ],
)
def test_stores_that_are_not_there(
    bank: Served, office: CompanyComputer, store: str, code: str, exit_code: int
) -> None:
    done = office.acquire(bank, bank.user("keiri02"), "--store", store, store_pin=PIN)
    assert (done.code, done.data["code"]) == (exit_code, code), done.err
    assert done.err.count("\n") >= 2, "what happened, and what to do"


def test_one_of_several_tokens_has_to_be_named(bank: Served, token: SoftHsm, office: CompanyComputer) -> None:
    person = bank.user("keiri02")
    token.add_token("second")
    done = office.acquire(bank, person, "--store", f"pkcs11:{SOFTHSM}", store_pin=PIN)
    assert (done.code, done.data["code"]) == (exit_codes.USAGE, "store-several-tokens")
    assert "office, second" in done.err


def test_removing_leaves_nothing_in_the_token(bank: Served, token: SoftHsm, office: CompanyComputer) -> None:
    serial = office.acquire(bank, bank.user("keiri02"), "--store", token.store, store_pin=PIN).data["serial"]
    assert office.run("remove", serial, "--store", token.store, "--pin-stdin", typed=(PIN,)).code == 0
    assert token.tool("--list-objects").stdout.strip() == ""


def test_in_a_tpm(bank: Served, tpm: Tpm, tmp_path: Path) -> None:
    """One test, since a TPM in software takes its time: acquire, look, doctor, lock."""
    laptop = CompanyComputer(tmp_path / "laptop", tpm.environment)
    person = bank.user("keiri02")
    wrong = laptop.acquire(bank, person, "--store", tpm.store, store_pin="000000")
    assert (wrong.code, wrong.data["code"]) == (exit_codes.STORE_PIN_WRONG, "store-pin-wrong"), wrong.err
    tpm.flush()
    done = laptop.acquire(bank, person, "--store", tpm.store, store_pin=PIN)
    assert (done.code, done.data["key_held_claimed"]) == (0, "tpm"), done.err
    tpm.flush()
    assert look(tpm) == ["1 0 1 1 refused AttributeTypeInvalid", "same id"]
    assert '"held": "tpm"' in bank.sekisho("certificates", "list", "--json").stdout
    tpm.flush()
    healthy = laptop.run("doctor", "--pin-stdin", "--json", typed=(PIN,))
    assert "in-force" in {line["code"] for line in healthy.lines}, "shown to the bank with the TPM's signature"
    tpm.flush()
    tpm.lock()
    locked = laptop.run("doctor", "--pin-stdin", "--json", typed=(PIN,))
    assert (locked.code, [line["code"] for line in locked.lines[:-1]]) == (
        exit_codes.FOUND_SOMETHING,
        ["store-locked"],
    )
    again = laptop.acquire(bank, person, "--store", tpm.store, store_pin=PIN)
    assert (again.code, again.data["code"]) == (exit_codes.STORE_LOCKED, "store-locked")
