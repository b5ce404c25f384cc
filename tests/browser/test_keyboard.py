"""J1, J2 and J4 with the keyboard alone: Tab, Space, the arrows and Enter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from tests.browser import journey
from tests.browser.support.keyboard import Keyboard
from tests.support.served import Served, free_port_base

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page
    from tests.browser.conftest import Computers
    from tests.browser.support.chromium import Computer


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    one = Served(tmp_path / "data", free_port_base())
    one.start()
    yield one
    one.stop()


def computer_of(computers: Computers, served: Served, holder: dict[str, str], site: str) -> Computer:
    made = computers(site, ca=Path(served.info["tls_ca"]))
    made.certificates.import_p12(Path(holder["p12"]), holder["p12_password"])
    made.choose({served.info["urls"][site]: {}})
    return made


def open_the_banks_page(page: Page, served: Served, link: str) -> Keyboard:
    """Go from the bank's page to a logon, past the frame by its first link."""
    keyboard = Keyboard(page)
    page.goto(served.info["urls"]["public"] + "/")
    keyboard.go_round()
    page.reload()
    keyboard.press("Tab")
    keyboard.see_focus(name="本文へ進む")
    keyboard.press("Enter")
    keyboard.press("Tab")
    keyboard.see_focus(name="管理者ログオン")  # the frame was not passed
    if link != "管理者ログオン":
        keyboard.go_to(link)
    keyboard.press("Enter")
    return keyboard


def test_the_administrator_reissues(served: Served, computers: Computers) -> None:
    contract = served.info["contract"]
    page = computer_of(computers, served, served.info["administrator"], "administrator").page()
    keyboard = open_the_banks_page(page, served, "管理者ログオン")

    journey.see_heading(page, "管理者ログオン")
    keyboard.go_round()
    page.reload()
    expect(page.get_by_label("ご契約先暗証番号", exact=True)).to_be_focused()  # it waits in the only field
    keyboard.type(contract["contract_pin"])
    keyboard.press("Enter")

    journey.see_heading(page, "確認用パスワード")
    expect(page.locator("#digit_1")).to_be_focused()
    for n in range(4):
        focused = keyboard.focused()
        assert focused is not None
        assert focused["id"] == f"digit_{n + 1}"
        keyboard.type(contract["card"]["".join(letter for letter in focused["name"] if letter.isdigit())])
        keyboard.press("Tab")
    keyboard.press("Space")

    journey.see_heading(page, "ご契約先ステータス")
    keyboard.go_round()
    keyboard.go_to("ご契約先管理情報変更")
    keyboard.press("Enter")
    journey.see_heading(page, "ご契約先管理情報変更")
    keyboard.go_round()
    keyboard.go_to("利用者情報登録／変更")
    keyboard.press("Enter")

    journey.see_heading(page, "利用者情報選択")
    keyboard.go_round()
    keyboard.go_to("keiri01")
    keyboard.press("ArrowDown")
    assert page.get_by_role("radio", name="keiri02").is_checked()
    keyboard.press("ArrowUp")
    keyboard.go_to("変更")
    keyboard.press("Space")

    journey.see_heading(page, "利用者情報変更")
    keyboard.go_round()
    keyboard.go_to("継続")
    keyboard.press("ArrowDown")
    assert page.get_by_role("radio", name="再発行", exact=True).is_checked()
    keyboard.press("Tab")
    keyboard.type("wrong111")
    keyboard.press("Enter")

    journey.see_outcome(page, "entry-wrong")
    keyboard.see_focus(tag="div")  # what was refused has the focus, so that it is read out
    keyboard.go_to("ご契約先確認暗証番号")
    keyboard.type(contract["contract_confirmation_pin"])
    keyboard.press("Enter")

    journey.see_outcome(page, "certificate-reissued")
    keyboard.go_round()


def test_a_user_logs_on(served: Served, computers: Computers) -> None:
    keiri01 = served.user("keiri01")
    page = computer_of(computers, served, keiri01, "user").page()
    keyboard = open_the_banks_page(page, served, "利用者ログオン")

    journey.see_heading(page, "利用者ログオン")
    expect(page.get_by_label("利用者暗証番号", exact=True)).to_be_focused()
    keyboard.press("Enter")
    journey.see_outcome(page, "entry-missing")
    keyboard.go_round()
    keyboard.go_to("ソフトウェアキーボード")
    keyboard.press("Enter")
    keyboard.see_focus(name="1")
    for key in ("Enter", "ArrowRight", "Space", "ArrowDown", "Enter"):
        keyboard.press(key)
    assert page.get_by_label("利用者暗証番号", exact=True).input_value() == "12w"
    keyboard.press("Shift+Tab")
    keyboard.go_to("w")  # one stop for all keys: the one that was left
    keyboard.press("Escape")
    keyboard.see_focus(name="ソフトウェアキーボード")
    page.reload()
    keyboard.go_to("利用者暗証番号")
    keyboard.type(keiri01["user_pin"])
    keyboard.go_to("ログオン")
    keyboard.press("Space")

    journey.see_heading(page, "利用者ステータス")
    keyboard.go_round()
    keyboard.go_to("お知らせをすべて見る")
    keyboard.press("Enter")
    journey.see_heading(page, "お知らせ")
    keyboard.go_round()
    keyboard.go_to("ステータス画面へ戻る")
    keyboard.press("Enter")
    journey.see_heading(page, "利用者ステータス")
    keyboard.go_to("ログオフ")
    keyboard.press("Enter")
    journey.see_heading(page, "ログオフしました")
    keyboard.go_round()


def test_acquisition_as_far_as_the_file(served: Served, computers: Computers) -> None:
    """The page moves the focus along with its steps: nobody has to look for the next one."""
    keiri02 = served.user("keiri02")
    page = computers("new", ca=Path(served.info["tls_ca"])).page()
    keyboard = Keyboard(page)
    page.goto(served.info["urls"]["public"] + "/acquire/user")
    page.locator("form[data-acquire]").wait_for()
    keyboard.go_round()
    for label, value in (
        ("契約者ID(利用者番号)", served.info["contract"]["contract_id"]),
        ("利用者ID", keiri02["user_id"]),
        ("利用者暗証番号", keiri02["user_pin"]),
        ("利用者確認暗証番号", keiri02["user_confirmation_pin"]),
    ):
        keyboard.go_to(label)
        keyboard.type(value)
    keyboard.press("Enter")

    page.locator("[data-step=save]").wait_for()
    keyboard.see_focus(tag="h2")
    keyboard.go_round()
    for label in ("ファイルのパスワード", "ファイルのパスワード(確認)"):
        keyboard.go_to(label)
        keyboard.type("correct-horse-battery")
    keyboard.press("Enter")
    page.locator("[data-part=link]").wait_for()
    with page.expect_download():
        keyboard.press("Enter")  # the link has the focus already
    keyboard.go_to("ファイルを保存しました")
    keyboard.press("Space")
    page.locator("[data-step=done]").wait_for()
    keyboard.go_round()
