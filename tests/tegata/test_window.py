"""The window on a screen (Xvfb), driven by keyboard (xdotool); and the link that opens it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import pytest
from tests.browser.support.nss import NssDatabase
from tests.support.lying_bank import LyingBank, Said
from tests.support.screen import PATIENCE_S, Screen
from tests.support.served import ROOT
from tests.support.tokens import PIN, SoftHsm

from tegata import exit_codes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.company_computer import CompanyComputer
    from tests.support.served import Served

FORM = "^電子証明書取得 - Tegata$"
WORKING = "^電子証明書発行処理中 - Tegata$"
TROUBLE = "^取得できませんでした - Tegata$"
DONE = "^電子証明書のインストールが完了しました - Tegata$"


@pytest.fixture(scope="module")
def screen() -> Iterator[Screen]:
    with Screen() as running:
        yield running


class Opened:
    """Tegata's window, opened by a command."""

    def __init__(self, computer: CompanyComputer, screen: Screen, *arguments: str) -> None:
        env = computer.env() | {"DISPLAY": screen.display, "QT_QPA_PLATFORM": "xcb", "LANG": "ja_JP.UTF-8"}
        argv = [sys.executable, "-m", "tegata", *arguments]
        self.screen = screen
        self.process = subprocess.Popen(argv, env=env, cwd=ROOT, stderr=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate(timeout=20)

    def window(self, title: str) -> str:
        return self.screen.window(title)

    def enter(self, *fields: str) -> None:
        """Type into one field after another, beginning with the one that has the keyboard, and press Return."""
        for number, text in enumerate(fields):
            if number:
                self.screen.tool("key", "Tab")
            self.screen.tool("type", "--delay", "15", text)
        self.screen.tool("key", "Return")

    def ended(self) -> int:
        return self.process.wait(PATIENCE_S)


def typed(bank: Served) -> tuple[str, str, str, str]:
    user = bank.user("keiri02")
    return bank.info["contract"]["contract_id"], "keiri02", user["user_pin"], user["user_confirmation_pin"]


def link_to(url: str, kind: str = "user") -> str:
    return f"tegata:acquire?url={url.replace(':', '%3A', 1)}&bank=9990&for={kind}"


def test_the_link_opens_the_window_and_four_fields_bring_the_certificate(
    bank: Served, computer: CompanyComputer, screen: Screen, tmp_path: Path
) -> None:
    """A wrong PIN first: what was typed stays, secrets excepted. Nothing can be closed while it works."""
    may_answer = threading.Event()

    def lie(path: str, _body: bytes) -> Said | None:
        if path.endswith("simpleenroll"):
            assert may_answer.wait(PATIENCE_S)
        return None

    contract, user, pin, confirmation = typed(bank)
    with (
        LyingBank(tmp_path / "slow", bank) as slow,
        Opened(computer, screen, "open", link_to(slow.url), "--ca", str(slow.ca)) as opened,
    ):
        slow.lie = lie
        may_answer.set()
        screen.tool("windowfocus", "--sync", opened.window(FORM))
        opened.enter(contract, user, "wrong111", confirmation)
        opened.window(TROUBLE)
        may_answer.clear()
        opened.enter(pin, confirmation)
        working = opened.window(WORKING)
        screen.tool("key", "Return")
        screen.tool("key", "ctrl+w")
        time.sleep(0.3)
        assert opened.process.poll() is None
        assert opened.window(WORKING) == working
        may_answer.set()
        opened.window(DONE)
        screen.tool("key", "Return")
        assert opened.ended() == 0
        assert len([path for path, _, _ in slow.asked if path.endswith("simpleenroll")]) == 2, "no second request"
    (stored,) = NssDatabase(computer.home / ".pki/nssdb").certificates()
    assert stored.common_name == f"{contract}{user}9990"


def test_a_token_asks_for_its_pin_in_a_window_of_its_own(
    bank: Served, computer: CompanyComputer, screen: Screen, tmp_path: Path
) -> None:
    token = SoftHsm(tmp_path / "hsm")
    computer.environment |= token.environment
    url, ca = bank.info["urls"]["public"], bank.info["tls_ca"]
    arguments = ("gui", "--url", url, "--bank", "9990", "--ca", ca, "--store", token.store)
    with Opened(computer, screen, *arguments) as opened:
        screen.tool("windowfocus", "--sync", opened.window(FORM))
        opened.enter(*typed(bank))
        screen.type_into(opened.window("^保管場所のPIN$"), PIN)
        opened.window(DONE)
        screen.tool("windowfocus", "--sync", opened.window(DONE))
        screen.tool("key", "ctrl+w")
        assert opened.ended() == 0
    assert "office" in computer.records[0]["store"]


SHOWS = """
import sys
from PySide6.QtWidgets import QApplication, QComboBox, QLabel, QLineEdit, QPushButton
from tegata.gui import Start, Window
application = QApplication([])
window = Window(Start("https://bank.example", "9990", sys.argv[1]), sys.argv[2])
for label in window.findChildren(QLabel):
    if label.buddy() is not None:
        field = label.buddy()
        hidden = isinstance(field, QLineEdit) and field.echoMode() == QLineEdit.EchoMode.Password
        print(label.text(), "secret" if hidden else "shown", sep="|")
print(*(button.text() for button in window.findChildren(QPushButton)), sep="|")
window.acquire()
print(window._trouble.text())
"""


def shows(computer: CompanyComputer, kind: str, lang: str) -> list[str]:
    env = computer.env() | {"QT_QPA_PLATFORM": "offscreen"}
    argv = [sys.executable, "-c", SHOWS, kind, lang]
    done = subprocess.run(argv, capture_output=True, text=True, env=env, cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_fields_are_labelled_as_on_the_banks_page(computer: CompanyComputer) -> None:
    *fields, buttons, missing = shows(computer, "user", "ja")
    assert fields[2:6] == [
        "契約者ID(利用者番号)|shown",
        "利用者ID|shown",
        "利用者暗証番号|secret",
        "利用者確認暗証番号|secret",
    ]
    assert set(buttons.split("|")) == {"電子証明書取得", "このウィンドウを閉じる"}
    assert missing == "契約者ID(利用者番号)を入力してください。"
    *fields, _, missing = shows(computer, "administrator", "en")
    assert fields[2:5] == ["Contract ID|shown", "Contract PIN|secret", "Contract confirmation PIN|secret"]
    assert missing == "Contract ID: please fill this in."


def test_the_desktop_finds_tegata_for_the_link(computer: CompanyComputer) -> None:
    env: dict[str, Any] = computer.env() | {"XDG_CURRENT_DESKTOP": "X-Generic"}
    done = computer.run("install-link")
    assert done.code == 0, done.err
    file = computer.home / ".local/share/applications/tegata.desktop"
    subprocess.run(["desktop-file-validate", str(file)], check=True)
    asked = subprocess.run(
        ["xdg-mime", "query", "default", "x-scheme-handler/tegata"], capture_output=True, text=True, env=env, check=True
    )
    assert asked.stdout.strip() == "tegata.desktop"


def test_the_desktop_opens_the_link_with_tegata(computer: CompanyComputer, screen: Screen) -> None:
    """As a browser does it: by xdg-open. The window of a real link comes up with the address in it."""
    computer.run("install-link")
    env = computer.env() | {
        "DISPLAY": screen.display,
        "QT_QPA_PLATFORM": "xcb",
        "XDG_CURRENT_DESKTOP": "X-Generic",
        "LANG": "ja_JP.UTF-8",
    }
    opener = subprocess.Popen(
        ["xdg-open", link_to("https://bank.example", "administrator")],
        env=os.environ | env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        screen.tool("windowfocus", "--sync", screen.window(FORM))
        screen.tool("key", "ctrl+w")
    finally:
        opener.wait(PATIENCE_S)


def test_a_link_that_is_none_opens_nothing(computer: CompanyComputer) -> None:
    done = computer.run("open", "tegata:acquire?url=http%3A//evil&bank=9990&for=user")
    assert done.code == exit_codes.USAGE
    assert "not a link for Tegata" in done.err


def test_without_qt_the_terminal_is_named(computer: CompanyComputer, tmp_path: Path) -> None:
    hiding = tmp_path / "hiding/PySide6"
    hiding.mkdir(parents=True)
    (hiding / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'PySide6'\", name='PySide6')")
    done = computer.run("gui", PYTHONPATH=str(hiding.parent))
    assert done.code == exit_codes.GUI_MISSING
    assert "tegata[gui]" in done.err
