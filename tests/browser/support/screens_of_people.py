"""What people do about their PINs, their users and their certificates, screen by screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from tests.browser.support.walk import Walk

WRONG = "wrong111"


def fill(page: Page, **fields: str) -> None:
    """Type into fields by their names."""
    for name, value in fields.items():
        page.locator(f"[name={name}]").fill(value)


def press_keys(page: Page, keys: str) -> None:
    """Press keys of the on-screen keyboard."""
    for key in keys:
        page.locator(".key", has_text=key).locator(f"text=/^{key}$/").click()


def see_pins(walk: Walk, page: Page, user: dict[str, Any]) -> None:
    """Change a logged-on user's PIN, after everything that can be wrong with a new one."""
    see, present = walk.judge.see, {"present_pin": user["user_pin"]}
    present["present_confirmation_pin"] = user["user_confirmation_pin"]
    walk.go(page, "user", "/status")
    page.locator("a[href='/pins']").click()
    see(page, "user-pins")
    walk.press(page)
    see(page, "user-pins-missing", code="entry-missing")
    fill(page, **present, new_pin="shinki12", new_pin_again="shinki21")
    walk.press(page)
    see(page, "user-pins-differ", code="entry-differs")
    fill(page, **present, new_pin="shinki", new_pin_again="shinki")
    walk.press(page)
    see(page, "user-pins-not-allowed", code="pin-not-allowed")
    fill(page, **present | {"present_pin": WRONG}, new_pin="shinki12", new_pin_again="shinki12")
    walk.press(page)
    see(page, "user-pins-wrong", code="entry-wrong")
    walk.go(page, "user", "/pins")
    fill(page, **present)
    page.locator("[name=new_pin]").focus()
    page.locator(".keyboard > .button").click()
    press_keys(page, "shinki")
    see(page, "user-pins-keyboard")
    press_keys(page, "12")
    assert page.locator("[name=new_pin]").input_value() == "shinki12"
    page.locator("[name=new_pin_again]").fill("shinki12")
    walk.press(page)
    see(page, "user-pins-changed", code="pins-changed")
    user["user_pin"] = "shinki12"
    walk.go(page, "user", "/status")


def see_pins_of_the_administrator(walk: Walk, page: Page) -> None:
    walk.go(page, "administrator", "/pins")
    walk.judge.see(page, "administrator-pins")
