"""The operators' commands: help, JSON, exit codes."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.support.served import ROOT, Served, free_port_base

from sekisho.cli import exit_codes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INIT = [
    *("--bank", "9991", "--name-ja", "例信用金庫", "--name-en", "Rei Shinkin Bank", "--service-ja", "れいバンキング"),
    *("--service-en", "Rei Banking", "--phone", "0120-111-111", "--hours-ja", "平日", "--hours-en", "Weekdays"),
]


def sekisho(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "sekisho", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("commands") / "data", free_port_base())
    served.start()
    yield served
    served.stop()


COMMANDS = [
    ["demo"],
    ["init"],
    ["serve"],
    ["database"],
    ["database", "upgrade"],
    ["worker"],
    ["ca"],
    ["ca", "install"],
    ["ca", "revoke"],
    ["ca", "root-list"],
    ["ca", "status"],
    ["ca", "ceremony", "revoke"],
    ["ca", "ceremony", "list"],
    ["certificates"],
    ["certificates", "list"],
    ["certificates", "revoke"],
    ["certificates", "lift"],
    ["certificates", "lint"],
    ["orders"],
    ["orders", "resume"],
    ["mails"],
    ["mails", "list"],
    ["mails", "retry"],
    ["audit"],
    ["audit", "list"],
    ["audit", "export"],
    ["audit", "verify-export"],
    ["policy"],
    ["policy", "show"],
    ["policy", "set"],
    ["contract"],
    ["contract", "register"],
    ["contract", "import"],
    ["contract", "purge"],
    ["contract", "removed"],
    ["card"],
    ["card", "maker"],
    ["card", "print"],
    ["card", "post"],
    ["bench"],
]


@pytest.mark.parametrize("command", [[], *COMMANDS], ids=" ".join)
def test_every_command_has_help(command: list[str]) -> None:
    done = sekisho(*command, "--help")
    assert done.returncode == 0
    assert "Usage:" in done.stdout
    assert len(done.stdout.splitlines()) > 3


def test_what_is_no_command_is_a_usage_error() -> None:
    assert sekisho("nonsense").returncode == exit_codes.USAGE


@pytest.mark.parametrize("name", ["Rei\u200bBank", "Rei Bank ", "R" * 65, ""], ids=repr)
def test_a_name_that_no_certificate_can_have(tmp_path: Path, name: str) -> None:
    words = [name if word == "Rei Shinkin Bank" else word for word in INIT]
    done = sekisho("init", *words, "--data-dir", str(tmp_path / "new"))
    assert done.returncode == exit_codes.USAGE
    assert "--name-en" in done.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("command", [["serve"], ["ca"], ["certificates", "list"], ["audit", "list"]])
def test_a_folder_where_nothing_was_set_up(tmp_path: Path, command: list[str]) -> None:
    done = sekisho(*command, "--data-dir", str(tmp_path / "nowhere"))
    assert done.returncode == exit_codes.FOLDER_MISSING
    assert "sekisho init" in done.stderr
    assert not (tmp_path / "nowhere").exists()


def test_init_sets_up_once_and_never_over_something(tmp_path: Path) -> None:
    folder = str(tmp_path / "bank")
    assert sekisho("init", "--data-dir", folder, *INIT).returncode == 0
    again = sekisho("init", "--data-dir", folder, *INIT)
    assert again.returncode == exit_codes.FOLDER_NOT_WRITABLE
    assert "not empty" in again.stderr
    listed = sekisho("certificates", "list", "--data-dir", folder, "--json")
    assert (listed.returncode, listed.stdout) == (0, "")


def test_certificates_are_listed_as_json(demo: Served) -> None:
    lines = [json.loads(line) for line in demo.sekisho("certificates", "list", "--json").stdout.splitlines()]
    assert [line["kind"] for line in lines] == ["administrator", "user"]
    assert all(len(line["serial"]) == 32 for line in lines)
    assert "keiri01" in demo.sekisho("certificates", "list").stdout


@pytest.mark.parametrize(
    ("serial", "code"),
    [("zz", exit_codes.USAGE), ("00ff", exit_codes.NOT_FOUND)],
)
def test_revoking_what_is_not_there(demo: Served, serial: str, code: int) -> None:
    done = demo.sekisho("certificates", "revoke", serial)
    assert done.returncode == code
    assert done.stderr.strip().splitlines()[-1].startswith("sekisho: ")


def test_a_reason_that_rfc_5280_does_not_know(demo: Served) -> None:
    assert demo.sekisho("certificates", "revoke", "00", "--reason", "boredom").returncode == exit_codes.USAGE
    assert demo.sekisho("certificates", "lift", "1" + 32 * "0").returncode == exit_codes.USAGE
    assert demo.sekisho("certificates", "lift", "00").returncode == exit_codes.NOT_FOUND


def test_audit_rows_say_who_what_when_from_where_and_about_which_certificate(demo: Served) -> None:
    rows = [json.loads(line) for line in demo.sekisho("audit", "list", "--json").stdout.splitlines()]
    issued = next(row for row in rows if row["action"] == "certificate-issued")
    assert issued["actor"].startswith("administrator:")
    assert issued["address"] == "127.0.0.1"
    assert len(issued["serial"]) == 32
    assert issued["at"].endswith("+00:00")
    contract_id = demo.info["contract"]["contract_id"]
    of_contract = demo.sekisho("audit", "list", "--json", "--contract", contract_id).stdout.splitlines()
    assert [json.loads(line) for line in of_contract] == [row for row in rows if row["contract_id"] == contract_id]
    assert 0 < len(of_contract) < len(rows)
    assert demo.sekisho("audit", "list", "--contract", "00000000000").stdout == ""


def test_the_audit_trail_is_exported_and_held_against_the_log(demo: Served, tmp_path: Path) -> None:
    file = tmp_path / "audit.zip"
    written = demo.sekisho("audit", "export", "--since", "2000-01-01", "--output", str(file), "--json")
    told = json.loads(written.stdout)
    assert (written.returncode, told["file"]) == (0, str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    verified = demo.sekisho("audit", "verify-export", str(file), "--json")
    assert json.loads(verified.stdout) == {"rows": told["rows"], "removed_since": 0}
    again = demo.sekisho("audit", "export", "--output", str(file))
    assert again.returncode == exit_codes.FOLDER_NOT_WRITABLE
    nothing = demo.sekisho("audit", "export", "--until", "2000-01-01", "--output", str(tmp_path / "none.zip"))
    assert nothing.stdout.startswith("0 rows written")
    assert demo.sekisho("audit", "verify-export", str(tmp_path / "none.zip")).stdout == "0 rows agree\n"
    for no_day in ("soon", "9999-12-31", "0001-01-01"):
        assert demo.sekisho("audit", "export", "--until", no_day, "--output", "x.zip").returncode == exit_codes.USAGE
    actions = [json.loads(line)["action"] for line in demo.sekisho("audit", "list", "--json").stdout.splitlines()]
    assert actions[-4:] == ["audit-exported", "audit-export-finished"] * 2


def test_an_export_that_was_changed_is_told(demo: Served, tmp_path: Path) -> None:
    file = tmp_path / "audit.zip"
    file.write_bytes(b"PK")
    done = demo.sekisho("audit", "verify-export", str(file))
    assert done.returncode == exit_codes.DO_NOT_AGREE
    assert "not a whole export" in done.stderr


def test_a_reader_who_has_had_enough_is_no_failure(demo: Served) -> None:
    argv = [sys.executable, "-m", "sekisho", "audit", "list", "--json", "--data-dir", str(demo.data_dir)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as writing:
        assert writing.stdout is not None
        assert writing.stderr is not None
        writing.stdout.close()
        assert "Traceback" not in writing.stderr.read()
    assert writing.returncode == 0


POLICY = {
    "renewal_without_pin": False,
    "service_hours": "always",
    "misses_before_closed": 7,
    "users_of_contract": 99,
    "retention_years": 7,
    "pin_shortest": 6,
    "pin_longest": 12,
    "pins_remembered": 3,
    "key_rsa_bits": 2048,
    "key_p384": True,
    "key_rsa": True,
    "certificate_life_days": 365,
    "acquisition_window_days": 14,
    "renewal_window_days": 30,
    "overlap_days": 7,
    "grace_days": 0,
    "reminders_days": [30, 10, 3],
    "permit_reminder_days": 3,
    "session_idle_minutes": 15,
    "session_life_hours": 8,
    "last_logons_shown": 3,
    "pin_age_days": 90,
    "second_steps": ["card", "totp", "passkey"],
    "way_tegata": True,
    "way_est": True,
}


def policy_rows(demo: Served) -> list[dict[str, str]]:
    rows = [json.loads(line) for line in demo.sekisho("audit", "list", "--json").stdout.splitlines()]
    return [row["detail"] for row in rows if row["action"] == "policy-changed"]


def test_the_policy_is_shown_and_set_with_an_audit_row(demo: Served) -> None:
    shown = json.loads(demo.sekisho("policy", "show", "--json").stdout)
    assert shown == {**POLICY, "way_browser": True}
    rules = ("--grace-days", "80", "--second-steps", "passkey, card", "--no-est", "--reminders-days", "3, 20")
    done = demo.sekisho("policy", "set", *rules, "--json")
    assert "within a second" in done.stderr
    numbers = {"grace_days": 80, "reminders_days": [20, 3]}
    changed = {**shown, **numbers, "second_steps": ["card", "passkey"], "way_est": False}
    assert json.loads(done.stdout) == changed
    assert json.loads(demo.sekisho("policy", "show", "--json").stdout) == changed
    row = {"grace_days": "0 > 80", "reminders_days": "30,10,3 > 20,3"}
    row |= {"second_steps": "card,totp,passkey > card,passkey", "way_est": "on > off"}
    assert policy_rows(demo) == [row]
    demo.sekisho("policy", "set", "--grace-days", "80", "--no-est")
    assert policy_rows(demo) == [row], "what is set already is no change"
    rules = ("--grace-days", "0", "--second-steps", "card,totp,passkey", "--est", "--reminders-days", "30,10,3")
    demo.sekisho("policy", "set", *rules)
    assert json.loads(demo.sekisho("policy", "show", "--json").stdout) == shown


@pytest.mark.parametrize(
    "rules",
    [
        [],
        ["--grace-days", "301"],
        ["--grace-days", "-1"],
        ["--reminders-days", "30,x"],
        ["--reminders-days", "40"],
        ["--misses-before-closed", "2"],
        ["--second-steps", "fax"],
        ["--second-steps", ""],
        ["--tegata", "--grace-days", "x"],
    ],
    ids=" ".join,
)
def test_a_policy_out_of_its_bounds_changes_nothing(demo: Served, rules: list[str]) -> None:
    before = demo.sekisho("policy", "show").stdout
    assert demo.sekisho("policy", "set", *rules).returncode == exit_codes.USAGE
    assert demo.sekisho("policy", "show").stdout == before


def test_a_contract_is_registered_beside_a_running_server(demo: Served) -> None:
    command = ["contract", "register", "--name", "見本製菓 株式会社", "--administrator", "菓子 太郎"]
    made = json.loads(demo.sekisho(*command, "--json").stdout)
    pins = {made[name] for name in ("contract_pin", "contract_confirmation_pin", "registration_pin")}
    assert (len(made["contract_id"]), len(pins), len(made["card"])) == (11, 3, 10)
    rows = [
        json.loads(line)
        for line in demo.sekisho("audit", "list", "--json", "--contract", made["contract_id"]).stdout.splitlines()
    ]
    assert [row["action"] for row in rows] == ["contract-registered", "administrator-registered", "permit-granted"]
    assert not any(pin in json.dumps(rows) for pin in pins)
    again = demo.sekisho(*command, "--contract-id", made["contract_id"])
    assert (again.returncode, "contract-id-taken" in again.stderr) == (exit_codes.REFUSED, True)
    assert "登録用暗証番号" in demo.sekisho(*command).stdout


def test_pkilint_is_asked_about_the_newest_certificates(demo: Served) -> None:
    done = demo.sekisho("certificates", "lint", "--json")
    assert (done.returncode, json.loads(done.stdout)["faulty"]) == (0, [])
    assert (count := json.loads(done.stdout)["looked_at"]) > 0
    assert demo.sekisho("certificates", "lint").stdout == f"looked at {count}, faulty 0\n"


def test_a_contract_past_its_retention_is_removed_beside_a_running_server(demo: Served) -> None:
    command = ["contract", "register", "--name", "旧見本商店", "--administrator", "古井 太郎", "--json"]
    contract_id = json.loads(demo.sekisho(*command).stdout)["contract_id"]
    assert demo.sekisho("contract", "purge", "--dry-run").stdout == ""
    # Nobody can have a contract end years ago but by writing that into the file.
    with sqlite3.connect(demo.data_dir / "sekisho.db", timeout=30) as db:
        change = "UPDATE contracts SET ended_at = '2015-04-01 00:00:00.000000' WHERE contract_id = ?"
        assert db.execute(change, (contract_id,)).rowcount == 1
    db.close()
    rows = demo.sekisho("audit", "list", "--json", "--contract", contract_id).stdout
    assert demo.sekisho("contract", "purge", "--dry-run").stdout.split() == [contract_id]
    removed = json.loads(demo.sekisho("contract", "purge", "--json").stdout)
    assert removed["contract_id"] == contract_id
    assert removed["rows"]["audit"] == len(rows.splitlines()) == 3
    assert removed["audit_sha256"] == hashlib.sha256(rows.encode()).hexdigest()
    assert demo.sekisho("contract", "purge", "--json").stdout == ""
    assert [json.loads(line) for line in demo.sekisho("contract", "removed", "--json").stdout.splitlines()] == [removed]
    assert demo.sekisho("audit", "list", "--contract", contract_id).stdout == ""
    assert "contract-removed" in demo.sekisho("audit", "list").stdout
    again = demo.sekisho("contract", "register", "--name", "x", "--administrator", "y", "--contract-id", contract_id)
    assert (again.returncode, "contract-id-taken" in again.stderr) == (exit_codes.REFUSED, True)


def test_contracts_are_imported_beside_a_running_server(demo: Served, tmp_path: Path) -> None:
    file, letters = tmp_path / "contracts.csv", tmp_path / "letters.json"
    lines = ["contract_id,name,branch,administrator"]
    lines += [f"3000000000{number},見本{number}号店,001,店長 {number}" for number in range(3)]
    file.write_bytes("\r\n".join([*lines, "30000000009,=cmd|calc,12,店長"]).encode("cp932"))
    command = ["contract", "import", str(file), "--json"]
    assert demo.sekisho(*command).returncode == exit_codes.USAGE
    tried = demo.sekisho(*command, "--dry-run")
    assert tried.returncode == exit_codes.WORK_LEFT
    wrong, counts = map(json.loads, tried.stdout.splitlines())
    assert wrong == {"line": 5, "contract_id": "30000000009", "column": "branch", "code": "branch-form"}
    assert counts == {"registered": 0, "can-be-registered": 3, "there-already": 0, "wrong": 1}
    done = demo.sekisho(*command, "--letters", str(letters))
    assert json.loads(done.stdout.splitlines()[-1])["registered"] == 3
    kept = [json.loads(line) for line in letters.read_text().splitlines()]
    assert [one["contract_id"] for one in kept] == [f"3000000000{number}" for number in range(3)]
    assert not any(one["contract_pin"] in done.stdout + done.stderr for one in kept)
    again = demo.sekisho("contract", "import", str(file), "--letters", str(letters))
    assert again.stdout.splitlines() == [
        "line 5: branch: 3 digits are needed, or nothing for the operations centre. (branch-form)",
        "registered: 0  can-be-registered: 0  there-already: 3  wrong: 1",
    ]
    assert len(letters.read_text().splitlines()) == 3


def test_of_two_commands_that_register_one_contract_at_once_one_is_refused(demo: Served) -> None:
    command = [
        "contract",
        "register",
        "--name",
        "見本製菓",
        "--administrator",
        "菓子 太郎",
        "--contract-id",
        "20000000002",
    ]
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda _: demo.sekisho(*command, "--json"), range(2)))
    made, refused = sorted(done, key=lambda one: one.returncode)
    assert (made.returncode, refused.returncode) == (0, exit_codes.REFUSED), refused.stderr
    assert json.loads(made.stdout)["contract_id"] == "20000000002"
    assert (refused.stdout, refused.stderr.count("\n"), "contract-id-taken" in refused.stderr) == ("", 1, True)


@pytest.mark.parametrize(
    ("name", "contract_id", "says"),
    [("", "12345678902", "--name"), ("a\u202eb", "12345678902", "--name"), ("見本", "1234", "--contract-id")],
)
def test_a_contract_that_cannot_be_registered(demo: Served, name: str, contract_id: str, says: str) -> None:
    done = demo.sekisho(
        *("contract", "register", "--name", name, "--administrator", "菓子 太郎", "--contract-id", contract_id)
    )
    assert done.returncode == exit_codes.USAGE
    assert says in done.stderr
    assert demo.sekisho("audit", "list", "--contract", contract_id).stdout == ""
