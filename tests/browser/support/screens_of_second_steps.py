"""The pages about an administrator's authenticator app and passkeys, one after the other.

The browser of the walk shows the sites through a proxy and speaks to no device, so the passkey's answers are
those of one in software; what a browser and a device do with each other is shown in test_passkey.py.
"""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from tests.browser.support.branch import through_branch
from tests.browser.support.walk import follow
from tests.support.authenticator import Authenticator

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from tests.browser.support.walk import Walk

STEPS = "/contract/second-steps"


def code_of(secret: str, later_s: float = 0) -> str:
    """Return what an app with that secret shows, now or later."""
    return TOTP(base64.b32decode(secret), 6, SHA1(), 30).generate(time.time() + later_s).decode()  # noqa: S303 - what apps do


def send_answer(page: Page, answer: str) -> None:
    """Send the form of a passkey's page with an answer, as its script would."""
    with page.expect_navigation():
        page.evaluate(
            """answer => {
              const form = document.querySelector("form[data-passkey]");
              form.elements.answer.value = answer;
              form.submit();
            }""",
            answer,
        )


def see_second_steps(walk: Walk) -> None:
    """Add an app and a passkey, log on, and take both away."""
    page, see = walk.page(walk.served.info["administrator"]), walk.judge.see
    walk.log_on_administrator(page)
    pin = walk.served.info["contract"]["contract_confirmation_pin"]
    walk.go(page, "administrator", "/contract")
    follow(page, f"a[href='{STEPS}']")
    see(page, "second-steps")
    follow(page, f"form[action='{STEPS}'] button")
    see(page, "totp-add")
    secret = page.locator(".serial").inner_text().replace(" ", "")
    page.locator("[name=code]").fill("12345")
    page.locator("[name=confirmation_pin]").fill(pin)
    walk.press(page)
    see(page, "totp-add-not-digits", code="entry-not-digits")
    page.locator("[name=code]").fill(code_of(secret))
    page.locator("[name=confirmation_pin]").fill(pin)
    walk.press(page)
    see(page, "second-steps-added", code="second-step-added")

    follow(page, f"a[href='{STEPS}/passkey']")
    see(page, "passkey-add")
    device = Authenticator(walk.urls["administrator"], "localhost")
    for answer, name in (("{}", "passkey-add-not-accepted"), (None, None)):
        asked = page.locator("[data-asked]").get_attribute("data-asked") or ""
        page.locator("[name=label]").fill("机の鍵" if walk.judge.lang == "ja" else "Desk key")
        page.locator("[name=confirmation_pin]").fill(pin)
        send_answer(page, answer or device.create(asked))
        if name is not None:
            see(page, name, code="passkey-not-accepted")
    page.goto(walk.urls["administrator"] + STEPS)
    see(page, "second-steps-all")

    other = walk.page(walk.served.info["administrator"])
    walk.enter_pin(other, "administrator", walk.served.info["contract"]["contract_pin"])
    see(other, "administrator-passkey")
    follow(other, "a[href='/totp']")
    see(other, "administrator-totp")
    other.locator("[name=code]").fill(code_of(secret, 30))
    walk.press(other)
    other.locator("a[href='/contract']").wait_for()

    for at in (f"{STEPS}/remove?which=totp", None):
        walk.go(other, "administrator", at or STEPS)
        if at is None:
            follow(other, f"a[href^='{STEPS}/remove']")
            see(other, "passkey-remove")
        other.locator("[name=confirmation_pin]").fill(pin)
        walk.press(other)
    see(other, "second-steps-removed", code="second-step-removed")
    walk.go(other, "administrator", f"{STEPS}/remove?which=totp")
    see(other, "second-steps-missing", code="second-step-missing")
    see_interim_step(walk)


def see_interim_step(walk: Walk) -> None:
    """Log on with a code from the branch, set up an app with it, and take that app away."""
    code = interim_code(walk)
    page, see = walk.page(walk.served.info["administrator"]), walk.judge.see
    contract = walk.served.info["contract"]
    walk.enter_pin(page, "administrator", contract["contract_pin"])
    see(page, "administrator-interim")
    page.locator("[name=interim_code]").fill("wrong11111")
    walk.press(page)
    see(page, "administrator-interim-wrong", code="entry-wrong")
    page.locator("[name=interim_code]").fill(code)
    walk.press(page)
    see(page, "administrator-interim-app")
    secret = page.locator(".serial").inner_text().replace(" ", "")
    page.locator("[name=code]").fill(code_of(secret))
    walk.press(page)
    page.locator("a[href='/contract']").wait_for()
    walk.go(page, "administrator", f"{STEPS}/remove?which=totp")
    page.locator("[name=confirmation_pin]").fill(contract["contract_confirmation_pin"])
    walk.press(page)


def interim_code(walk: Walk) -> str:
    """Have the branch give a code, and return what stands on the slip."""
    return through_branch(walk, "interim-step").locator(".secret").first.inner_text().strip()
