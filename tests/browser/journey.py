"""What the people of the journeys do in a browser, step by step, by the words on the screens."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from tests.support.served import Served


def see_outcome(page: Page, code: str) -> None:
    """Wait until the page's alert or status has this published code."""
    told = page.locator("[role=alert][data-code]:visible, [role=status][data-code]:visible")
    expect(told.first).to_have_attribute("data-code", code)


def see_heading(page: Page, words: str) -> None:
    """Wait until the page's heading reads exactly so."""
    expect(page.get_by_role("heading", level=1)).to_have_text(words)
    page.wait_for_load_state()


def to_logon(page: Page, served: Served, who: str) -> None:
    """Go from the bank's page to 「管理者ログオン」 or 「利用者ログオン」."""
    page.goto(served.info["urls"]["public"] + "/")
    page.get_by_role("link", name=who, exact=True).click()


def enter_user_pin(page: Page, user: dict[str, Any], pin: str | None = None) -> None:
    page.get_by_label("利用者暗証番号", exact=True).fill(pin or user["user_pin"])
    page.get_by_role("button", name="ログオン", exact=True).click()


def enter_contract_pin(page: Page, served: Served) -> None:
    page.get_by_label("ご契約先暗証番号", exact=True).fill(served.info["contract"]["contract_pin"])
    page.get_by_role("button", name="ログオン", exact=True).click()


def answer_card(page: Page, served: Served, contract: dict[str, Any] | None = None) -> None:
    """Type the four digits that 「3番目の数字」 and so on ask for."""
    card = (contract or served.info["contract"])["card"]
    see_heading(page, "確認用パスワード")
    for field in page.get_by_label(re.compile("番目の数字")).all():
        name = field.evaluate("field => field.labels[0].textContent")
        field.fill(card[re.sub(r"\D", "", name)])
    page.get_by_role("button", name="OK", exact=True).click()


def log_on_user(page: Page, served: Served, user: dict[str, Any]) -> None:
    to_logon(page, served, "利用者ログオン")
    enter_user_pin(page, user)


def log_on_administrator(page: Page, served: Served) -> None:
    to_logon(page, served, "管理者ログオン")
    enter_contract_pin(page, served)
    answer_card(page, served)


def choose_user(page: Page, user_id: str) -> None:
    """Go from the status screen to 「利用者情報変更」 of one user."""
    page.get_by_role("link", name="ご契約先管理情報変更").click()
    page.get_by_role("link", name="利用者情報登録／変更").click()
    page.get_by_role("radio", name=user_id).check()
    page.get_by_role("button", name="変更", exact=True).click()


def change_certificate(page: Page, served: Served, action: str) -> None:
    """Choose 「継続」, 「再発行」 or 「失効」, type ご契約先確認暗証番号, press OK."""
    page.get_by_role("radio", name=action, exact=True).check()
    pin = served.info["contract"]["contract_confirmation_pin"]
    page.get_by_label("ご契約先確認暗証番号", exact=True).fill(pin)
    page.get_by_role("button", name="OK", exact=True).click()


def fill_acquisition(page: Page, served: Served, user: dict[str, Any]) -> None:
    """Fill the form of 「電子証明書取得」 for a user and press the button."""
    page.goto(served.info["urls"]["public"] + "/acquire/user")
    page.get_by_label("契約者ID(利用者番号)", exact=True).fill(served.info["contract"]["contract_id"])
    page.get_by_label("利用者ID", exact=True).fill(user["user_id"])
    page.get_by_label("利用者暗証番号", exact=True).fill(user["user_pin"])
    page.get_by_label("利用者確認暗証番号", exact=True).fill(user["user_confirmation_pin"])
    page.get_by_role("button", name="電子証明書取得", exact=True).click()
