"""The administrator of a new contract confirms its opening (開通確認), screen by screen."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

from tests.browser.support.screens_of_people import WRONG, fill

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from tests.browser.support.walk import Walk

CHOSEN = {"new_pin": "atarasi1", "new_confirmation_pin": "atarasi2"}
MAIL = "kanri@kogyo.example.com"


def see_opening(walk: Walk, user: dict[str, Any]) -> None:
    """Acquire, log on and open the contract, after everything that can be wrong with an entry."""
    see, contract = walk.judge.see, walk.served.info["unopened_contract"]
    holder = walk.enroll("unopened", {"contract": contract})
    page = walk.page(holder)
    walk.enter_pin(page, "administrator", contract["contract_pin"])
    walk.answer_card(page, "unopened_contract")
    see(page, "opening")
    walk.press(page)
    see(page, "opening-missing", code="entry-missing")
    enter(walk, page, WRONG)
    see(page, "opening-wrong", code="entry-wrong")
    assert page.locator("[name=mail_address]").input_value() == MAIL, "what was typed stays"
    assert page.locator("[name=new_pin]").input_value() == ""
    enter(walk, page, contract["registration_pin"], mail_address="kanri")
    see(page, "opening-mail-address-refused", code="details-not-allowed")
    enter(walk, page, contract["registration_pin"], new_pin=contract["contract_pin"])
    see(page, "opening-pin-of-the-form", code="pin-not-allowed")
    second = walk.page_with_cookies_of(page, holder)
    walk.go(second, "administrator", "/opening")
    enter(walk, page, contract["registration_pin"])
    see(page, "opening-code")
    enter(walk, second, contract["registration_pin"])
    see(second, "opening-repeated", code="opening-step-done")
    fill(page, mailed_code="00000000")
    walk.press(page)
    see(page, "opening-code-wrong", code="opening-code-wrong")
    fill(page, mailed_code=walk.mailed_code())
    walk.press(page)
    see(page, "opened", code="contract-opened")
    see_user_of_an_unopened_contract(walk, user)


def enter(walk: Walk, page: Page, registration_pin: str, *, mail_address: str = MAIL, **changed: str) -> None:
    for name, pin in (CHOSEN | changed).items():
        fill(page, **{name: pin, f"{name}_again": pin})
    fill(page, registration_pin=registration_pin, mail_address=mail_address)
    walk.press(page)


def see_user_of_an_unopened_contract(walk: Walk, user: dict[str, Any]) -> None:
    """Show what a user is told, whose contract is made what it was before its opening."""
    users = walk.served.info["contract"]["contract_id"]
    with closing(sqlite3.connect(walk.served.data_dir / "sekisho.db")) as database, database:
        [(opened_at,)] = database.execute("SELECT opened_at FROM contracts WHERE contract_id = ?", [users])
        database.execute("UPDATE contracts SET opened_at = NULL WHERE contract_id = ?", [users])
    page = walk.page(user)
    walk.go(page, "user")
    walk.judge.see(page, "contract-not-open", code="contract-not-open")
    with closing(sqlite3.connect(walk.served.data_dir / "sekisho.db")) as database, database:
        database.execute("UPDATE contracts SET opened_at = ? WHERE contract_id = ?", [opened_at, users])
