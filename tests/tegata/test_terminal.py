"""The terminal: PINs are asked for without being shown, in the person's language; help, and what scripts read."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.support.served import ROOT

from tegata import exit_codes
from tegata.cli import main

if TYPE_CHECKING:
    from tests.support.company_computer import CompanyComputer
    from tests.support.served import Served


def on_a_terminal(computer: CompanyComputer, lang: str, *arguments: str, answers: dict[str, str]) -> str:
    """Run a command on a pseudo-terminal, answer each question when it is asked, and return all that is seen there."""
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "tegata", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
        env=computer.env() | {"LANG": lang},
        start_new_session=True,
    )
    os.close(theirs)
    seen, waiting = b"", dict(answers)
    with contextlib.suppress(OSError):  # how a terminal ends on Linux when nobody holds its other side
        while piece := os.read(ours, 4096):
            seen += piece
            for question in [one for one in waiting if one in seen.decode("utf-8", "ignore")]:
                os.write(ours, f"{waiting.pop(question)}\n".encode())
    os.close(ours)
    assert running.wait(30) == 0, seen.decode()
    assert not waiting
    return seen.decode()


@pytest.mark.parametrize(
    ("lang", "asked", "working", "done"),
    [
        (
            "ja_JP.UTF-8",
            ["利用者暗証番号: ", "利用者確認暗証番号: "],
            "電子証明書発行処理中",
            "電子証明書のインストールが完了しました",
        ),
        (
            "en_US.UTF-8",
            ["User PIN: ", "User confirmation PIN: "],
            "The certificate is being issued",
            "The certificate has been installed",
        ),
    ],
)
def test_pins_are_asked_for_and_not_shown(
    bank: Served, computer: CompanyComputer, lang: str, asked: list[str], working: str, done: str
) -> None:
    person, info = bank.user("keiri02"), bank.info
    seen = on_a_terminal(
        computer,
        lang,
        *("acquire", "--url", info["urls"]["public"], "--bank", "9990", "--contract", info["contract"]["contract_id"]),
        *("--user", "keiri02", "--ca", info["tls_ca"]),
        answers=dict(zip(asked, (person["user_pin"], person["user_confirmation_pin"]), strict=True)),
    )
    places = [seen.index(words) for words in [*asked, working, done]]
    assert places == sorted(places)
    assert person["user_pin"] not in seen
    assert person["user_confirmation_pin"] not in seen


def test_secrets_that_end_too_early(bank: Served, computer: CompanyComputer) -> None:
    info = bank.info
    argv = ("acquire", "--url", info["urls"]["public"], "--bank", "9990", "--contract", "1", "--ca", info["tls_ca"])
    done = computer.run(*argv, "--pin-stdin", "--json", typed=("only one",))
    assert (done.code, done.data["code"]) == (exit_codes.USAGE, "input-ended")


@pytest.mark.parametrize("command", ["", *sorted(main.commands)])
def test_every_command_has_help_in_both_languages(computer: CompanyComputer, command: str) -> None:
    japanese, english = (
        computer.run(*command.split(), "--help", "--lang", lang) if command else computer.run("--lang", lang, "--help")
        for lang in ("ja", "en")
    )
    assert (japanese.code, english.code) == (0, 0)
    assert japanese.out != english.out
    assert english.out.isascii() or "…" in english.out


def test_the_reference_names_every_command_and_option() -> None:
    page = (ROOT / "docs/reference/tegata.md").read_text("utf-8")
    for name, command in main.commands.items():
        assert f"`tegata {name}" in page
        for parameter in command.params:
            for option in parameter.opts:
                assert option in page or not option.startswith("--"), f"{name} {option}"


def test_an_unknown_option_is_the_command_lines_fault(computer: CompanyComputer) -> None:
    assert computer.run("acquire", "--colour").code == exit_codes.USAGE
    assert computer.run("remove").code == exit_codes.USAGE
    assert computer.run("remove", "ff", "--unfinished").code == exit_codes.USAGE
