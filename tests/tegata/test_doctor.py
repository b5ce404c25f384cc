"""`tegata doctor`: each reason why a logon does not work, and what to do; and nothing where all is well."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.browser.support.nss import NssDatabase
from tests.support.company_computer import CompanyComputer
from tests.support.lying_bank import LyingBank, Said
from tests.support.tokens import PIN, SoftHsm

from tegata import exit_codes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.served import Served


def diagnosis(computer: CompanyComputer, *options: str, typed: tuple[str, ...] = ()) -> list[str]:
    """Return the codes of what is wrong; every finding has words, and what is wrong says what to do."""
    done = computer.run("doctor", "--json", *options, typed=typed)
    findings = [line for line in done.lines if "wrong" in line]
    assert all(line["what"] and (line["next"] or not line["wrong"]) for line in findings)
    wrong = [line["code"] for line in findings if line["wrong"]]
    assert done.code == (exit_codes.FOUND_SOMETHING if wrong else 0), done.err
    return wrong


def test_nothing_is_wrong_and_what_cannot_be_seen_is_said(bank: Served, computer: CompanyComputer) -> None:
    computer.acquire(bank, bank.user("keiri02"))
    assert diagnosis(computer) == []
    told = computer.run("doctor").out
    assert "A browser may hold on to a certificate" in told
    assert "Choose another certificate" in told
    assert "別の電子証明書を選ぶ" in computer.run("doctor", "--lang", "ja").out


def test_no_certificate(computer: CompanyComputer) -> None:
    assert diagnosis(computer) == ["store-missing"]
    NssDatabase(computer.home / ".pki/nssdb")
    assert diagnosis(computer) == ["no-certificate"]


def test_reissued(bank: Served, computer: CompanyComputer, running_bank: Any) -> None:
    person = bank.user("keiri02")
    computer.acquire(bank, person)
    running_bank[1]()
    assert diagnosis(computer) == ["reissued"]
    computer.acquire(bank, person)
    assert diagnosis(computer) == []


def test_revoked(bank: Served, computer: CompanyComputer) -> None:
    serial = computer.acquire(bank, bank.user("keiri02")).data["serial"]
    assert bank.sekisho("certificates", "revoke", serial, "--reason", "keyCompromise").returncode == 0
    assert diagnosis(computer) == ["revoked"]


def test_ended(served: Served, computer: CompanyComputer) -> None:
    computer.acquire(served, served.user("keiri02"))
    served.set_clock_ahead(days=366)
    assert diagnosis(computer) == ["ended"]
    served.stop()
    assert diagnosis(computer) == ["server-not-reachable"]
    served.start()


@pytest.mark.parametrize(("hours", "code"), [(2, "clock-behind"), (-2, "clock-ahead")])
def test_a_wrong_clock(bank: Served, computer: CompanyComputer, tmp_path: Path, hours: int, code: str) -> None:
    """What counts is the difference to the bank's clock, so the bank's is moved."""
    with LyingBank(tmp_path / "other-time", bank) as liar:

        def lie(path: str, body: bytes) -> Said | None:
            del body
            if not path.endswith(".json"):
                return None
            told = liar.truth("GET", path, {}, b"")
            return Said(told.status, told.headers | {"date": moved}, told.body)

        moved = format_datetime(datetime.now(UTC) + timedelta(hours=hours), usegmt=True)
        liar.lie = lie
        done = computer.acquire(bank, bank.user("keiri02"), url=liar.url, ca=_both(tmp_path, liar, bank))
        assert done.code == 0, done.err
        assert "wrong by about 120 minutes" in done.err
        assert diagnosis(computer) == [code]
        assert "about 120 minutes" in computer.run("doctor").out


def _both(folder: Path, liar: LyingBank, bank: Served) -> str:
    """Return a file with both servers' CAs: the secure sites are the real ones."""
    from pathlib import Path

    file = folder / "both.pem"
    file.write_bytes(liar.ca.read_bytes() + Path(bank.info["tls_ca"]).read_bytes())
    return str(file)


def test_a_missing_chain_is_put_back(bank: Served, computer: CompanyComputer) -> None:
    name = computer.acquire(bank, bank.user("keiri02")).data["common_name"]
    database = f"sql:{computer.home}/.pki/nssdb"
    subprocess.run(["certutil", "-D", "-n", f"{name} CA 1", "-d", database], check=True)
    assert diagnosis(computer) == ["chain-put-back"]
    assert diagnosis(computer) == []
    argv = ["certutil", "-L", "-n", f"{name} CA 1", "-d", database]
    assert subprocess.run(argv, capture_output=True, check=False).returncode == 0


def test_a_browser_that_does_not_know_the_token(bank: Served, tmp_path: Path) -> None:
    token = SoftHsm(tmp_path / "hsm")
    computer = CompanyComputer(tmp_path / "home", token.environment)
    computer.acquire(bank, bank.user("keiri02"), "--store", token.store, store_pin=PIN)
    assert diagnosis(computer, "--pin-stdin", typed=(PIN,)) == [], "no browser, nothing to say of one"
    database = NssDatabase(computer.home / ".pki/nssdb")
    assert diagnosis(computer, "--pin-stdin", typed=(PIN,)) == ["browser-without-token"]
    subprocess.run(
        ["modutil", "-dbdir", f"sql:{database.folder}", "-add", "office", "-libfile", token.module, "-force"],
        check=True,
        capture_output=True,
        env=computer.env(),
    )
    assert diagnosis(computer, "--pin-stdin", typed=(PIN,)) == []
    assert diagnosis(computer, "--pin-stdin", typed=("000000",)) == ["store-pin-wrong"]


def test_a_certificate_that_somebody_else_put_there(bank: Served, computer: CompanyComputer) -> None:
    keiri01 = bank.user("keiri01")
    from pathlib import Path

    NssDatabase(computer.home / ".pki/nssdb").import_p12(Path(keiri01["p12"]), keiri01["p12_password"])
    assert diagnosis(computer) == []
    assert "was not acquired by Tegata" in computer.run("doctor").out
    (line,) = computer.run("list", "--json").lines
    assert (line["common_name"][11:18], line["url"]) == ("keiri01", None)
