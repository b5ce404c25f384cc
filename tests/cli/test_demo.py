"""`sekisho demo`: the line that scripts read, a second start, a clean stop, and one clear line for each obstacle."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.est_client import curl
from tests.support.person import Person
from tests.support.served import ROOT, Served, free_port_base

from sekisho.cli import exit_codes

if TYPE_CHECKING:
    from collections.abc import Iterator


def demo_argv(data_dir: Path, port_base: int) -> list[str]:
    places = ["--data-dir", str(data_dir), "--port-base", str(port_base)]
    return [sys.executable, "-m", "sekisho", "demo", *places, "--json"]


def fails(data_dir: Path, port_base: int) -> tuple[int, str, str]:
    """Run a demo that cannot start; return its exit code, standard output and the last line it says."""
    argv = demo_argv(data_dir, port_base)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)
    lines = [line for line in done.stderr.splitlines() if line.startswith("sekisho: ")]
    assert "Traceback" not in done.stderr, done.stderr
    assert lines, done.stderr
    return done.returncode, done.stdout, lines[-1]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Served]:
    base = free_port_base()
    served = Served(tmp_path / "data", base, argv=demo_argv(tmp_path / "data", base))
    served.start()
    yield served
    served.stop()


def shape(value: Any) -> Any:
    """Return a value's form: what scripts rely on."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in value.items()}
    return type(value).__name__


def test_the_line_is_what_the_surface_says(demo: Served) -> None:
    info = demo.info
    base = demo.port_base
    assert info["ready"] is True
    assert info["urls"] == {
        "public": f"https://localhost:{base}",
        "administrator": f"https://localhost:{base + 1}",
        "user": f"https://localhost:{base + 2}",
        "console": f"https://localhost:{base + 3}",
        "pki": f"http://localhost:{base + 4}",
        "app": f"https://localhost:{base + 5}",
    }
    assert info["bank"]["code"] == "9990"
    assert len(info["contract"]["contract_id"]) == 11
    assert sorted(info["contract"]["card"], key=int) == [str(n) for n in range(1, 11)]
    files = {"certificate": "str", "key": "str", "p12": "str", "p12_password": "str"}
    assert shape(info["administrator"]) == files
    keiri01, keiri02 = info["users"]
    pins = {"user_id": "str", "user_pin": "str", "user_confirmation_pin": "str"}
    assert shape(keiri01) == {**pins, **files}
    assert shape(keiri02) == {**pins, **dict.fromkeys(files, "NoneType")}
    unopened = dict.fromkeys(("contract_id", "registration_pin", "contract_pin", "contract_confirmation_pin"), "str")
    assert shape(info["unopened_contract"]) == {**unopened, "card": {str(n): "str" for n in range(1, 11)}}
    assert info["unopened_contract"]["contract_id"] != info["contract"]["contract_id"]
    for name in ("tls_ca", "client_ca"):
        assert Path(info[name]).read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert Path(info["outbox"]).is_dir()


def test_what_people_read_names_the_contract_that_waits_for_its_opening(tmp_path: Path) -> None:
    base = free_port_base()
    argv = demo_argv(tmp_path / "data", base)[:-1]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                break
        process.send_signal(signal.SIGTERM)
    contract = json.loads((tmp_path / "data" / "demo" / "demo.json").read_text())["unopened_contract"]
    said = "".join(lines)
    assert all(contract[name] in said for name in ("contract_id", "registration_pin", "contract_pin"))
    assert f"登録用暗証番号 {contract['registration_pin']}" in said


def test_every_site_answers_when_the_line_is_printed(demo: Served) -> None:
    statuses = {name: curl(demo, f"{url}/").status for name, url in demo.info["urls"].items()}
    assert statuses == {"public": 200, "administrator": 403, "user": 403, "console": 403, "pki": 404, "app": 503}


def test_a_second_start_finds_the_same_data_and_both_signals_stop_it_cleanly(demo: Served) -> None:
    first = demo.info
    assert demo.stop(signal.SIGTERM) == 0
    assert demo.start() == first
    assert demo.stop(signal.SIGINT) == 0
    assert "Traceback" not in demo.log()
    assert "ERROR" not in demo.log()


def test_a_first_start_that_was_cut_off_is_made_up_for(tmp_path: Path) -> None:
    base = free_port_base()
    demo = Served(tmp_path / "data", base, argv=demo_argv(tmp_path / "data", base))
    before = demo.start()
    demo.stop()
    (demo.data_dir / "demo" / "demo.json").unlink()
    made = demo.start()
    clerk = Person(demo, "console", made["staff"][0])
    try:
        assert made["contract"]["contract_id"] != before["contract"]["contract_id"]
        assert clerk.log_on_staff().status == 200
    finally:
        clerk.close()
        demo.stop()


def test_two_policy_keepers_come_once_when_asked_for_and_change_a_rule_together(tmp_path: Path) -> None:
    base = free_port_base()
    argv = demo_argv(tmp_path / "data", base)
    demo = Served(tmp_path / "data", base, argv=argv)
    roles = [one["role"] for one in demo.start()["staff"]]
    assert roles == ["clerk", "approver", "operator", "auditor"]
    demo.stop()
    # As a start leaves it that was cut off after the first of them was added.
    added = demo.sekisho("staff", "add", "kisoku01", "--name", "x", "--role", "keeper", "--p12", str(tmp_path / "p12"))
    assert added.returncode == 0, added.stderr
    (demo.data_dir / "demo" / "kisoku01.key.pem").touch()
    demo.argv = [*argv, "--keepers"]
    first = demo.start()
    assert [one["role"] for one in first["staff"]] == [*roles, "keeper", "keeper"]
    demo.stop()
    demo.argv = argv
    assert demo.start() == first, "they stay, with the same certificates and PINs"
    one, other = (Person(demo, "console", keeper) for keeper in first["staff"][4:])
    try:
        assert one.log_on_staff().path == "/policy"
        form = one.get("/policy/new/service")
        fields = dict(re.findall(r'name="([a-z._]+)"[^>]*value="([^"]*)"', form.text))
        typed = {name: unescape(value) for name, value in fields.items()} | {"users_of_contract": "50", "reason": "x"}
        proposed = one.send(form, "/policy/new/service", **typed)
        assert proposed.outcome == "policy-proposed"
        other.log_on_staff()
        assert other.send(other.get(proposed.path), proposed.path, step="approve").outcome == "policy-in-force"
        assert demo.sekisho("policy", "set", "--users-of-contract", "60").returncode == exit_codes.REFUSED
    finally:
        one.close()
        other.close()
        demo.stop()


def test_nothing_more_stands_on_standard_output(demo: Served) -> None:
    assert demo.process is not None
    assert demo.process.stdout is not None
    curl(demo, demo.info["urls"]["public"] + "/")
    demo.process.send_signal(signal.SIGTERM)
    assert demo.process.stdout.read() == ""


def test_other_ports_at_the_second_start(demo: Served, tmp_path: Path) -> None:
    demo.stop()
    base = free_port_base()
    demo.port_base, demo.argv = base, demo_argv(tmp_path / "data", base)
    assert demo.start()["urls"]["public"] == f"https://localhost:{base}"


def test_a_port_in_use(tmp_path: Path) -> None:
    base = free_port_base()
    with socket.socket() as other:
        other.bind(("127.0.0.1", base + 2))
        other.listen()
        code, out, line = fails(tmp_path / "data", base)
    assert (code, out) == (exit_codes.ADDRESS_IN_USE, "")
    assert f"port {base + 2}" in line


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    code, _, line = fails(tmp_path / "file" / "data", free_port_base())
    assert code == exit_codes.FOLDER_NOT_WRITABLE
    assert str(tmp_path / "file" / "data") in line


def test_a_folder_that_holds_something_else(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("Dear Sir or Madam")
    code, _, line = fails(tmp_path / "letters", free_port_base())
    assert code == exit_codes.FOLDER_DAMAGED
    assert "not empty" in line
    assert [file.name for file in (tmp_path / "letters").iterdir()] == ["dear.txt"], "nothing was put there"


def test_a_folder_that_is_served_already(demo: Served) -> None:
    code, _, line = fails(demo.data_dir, free_port_base())
    assert code == exit_codes.FOLDER_IN_USE
    assert "another Sekisho" in line
    assert curl(demo, demo.info["urls"]["public"] + "/").status == 200, "the first one goes on"


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("sekisho.db", "sekisho.db"),
        ("sekisho.toml", "sekisho.toml"),
        ("secrets/pepper", "pepper"),
        ("secrets/card-key", "card-key"),
        ("ca/user.key.pem", "ca"),
        ("demo/demo.json", "demo.json"),
    ],
)
def test_a_damaged_folder(demo: Served, damage: str, named: str) -> None:
    demo.stop()
    (demo.data_dir / damage).write_bytes(b"\x00damaged")
    code, out, line = fails(demo.data_dir, demo.port_base)
    assert out == ""
    assert code in {exit_codes.FOLDER_DAMAGED, exit_codes.CA_DID_NOT_START}
    assert named in line or code == exit_codes.CA_DID_NOT_START


@pytest.mark.parametrize("gone", ["sekisho.db", "secrets/pepper", "ca/user.pem"])
def test_a_folder_from_which_something_is_gone(demo: Served, gone: str) -> None:
    demo.stop()
    (demo.data_dir / gone).unlink()
    code, _, line = fails(demo.data_dir, demo.port_base)
    assert code in {exit_codes.FOLDER_DAMAGED, exit_codes.CA_DID_NOT_START}
    assert line
    assert not (demo.data_dir / gone).exists(), "nothing is made anew in its place"


def test_secrets_and_keys_are_for_their_owner_alone(demo: Served) -> None:
    for file in demo.data_dir.rglob("*"):
        if file.is_file() and ("key" in file.name or file.parent.name == "secrets" or file.suffix == ".p12"):
            assert file.stat().st_mode & 0o077 == 0, file


def test_no_secret_reaches_log_mail_or_audit(demo: Served) -> None:
    contract = demo.info["contract"]
    secrets = [contract["contract_pin"], contract["contract_confirmation_pin"]]
    unopened = demo.info["unopened_contract"]
    secrets += [unopened[name] for name in ("registration_pin", "contract_pin", "contract_confirmation_pin")]
    secrets += [user[name] for user in demo.info["users"] for name in ("user_pin", "user_confirmation_pin")]
    demo.stop()
    database = (demo.data_dir / "sekisho.db").read_bytes()
    mails = b"".join(mail.read_bytes() for mail in Path(demo.info["outbox"]).glob("*.eml"))
    for secret in secrets:
        assert secret not in demo.log()
        assert secret.encode() not in database
        assert secret.encode() not in mails
