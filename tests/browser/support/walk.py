"""The steps that people take through all pages, told by what fields and buttons are, whatever the language."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.browser.support.chromium import ARGUMENTS
from tests.browser.support.judge import Judge
from tests.support.est_client import curl, enroll, new_key
from tests.support.served import Served, free_port_base
from tests.support.serving import NO_WORKER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright._impl._api_structures import ClientCertificate, SetCookieParam
    from playwright.sync_api import Browser, BrowserContext, Page, Playwright


@dataclass
class Walk:
    """One demo, one browser, and the judge of what they show."""

    served: Served
    browser: Browser
    judge: Judge
    folder: Path
    running: ExitStack

    @property
    def urls(self) -> dict[str, str]:
        urls: dict[str, str] = self.served.info["urls"]
        return urls

    def computer(self, holder: dict[str, Any] | None = None, **options: Any) -> BrowserContext:
        """Return a new browser window with one certificate, for every secure site, or none."""
        shown: list[ClientCertificate] = []
        if holder is not None:
            files: ClientCertificate = {"certPath": holder["certificate"], "keyPath": holder["key"]}
            if holder.get("p12") and not holder["certificate"]:
                files = {"pfxPath": holder["p12"], "passphrase": holder["p12_password"]}
            shown = [{**files, "origin": self.urls[site]} for site in ("administrator", "user", "console")]
        context = self.browser.new_context(
            ignore_https_errors=True,
            locale={"ja": "ja-JP", "en": "en-US"}[self.judge.lang],
            client_certificates=shown,
            **options,
        )
        self.running.callback(context.close)
        return context

    def page_with_cookies_of(self, page: Page, holder: dict[str, Any]) -> Page:
        """Open a page in a new window that has another window's cookies."""
        context = self.computer(holder)
        for one in page.context.cookies():
            cookie: SetCookieParam = {"name": one["name"], "value": one["value"], "url": page.url}
            context.add_cookies([{**cookie, "secure": True, "httpOnly": True}])
        return self.judge.page(context)

    def page(self, holder: dict[str, Any] | None = None, **options: Any) -> Page:
        return self.judge.page(self.computer(holder, **options))

    def go(self, page: Page, site: str, path: str = "/") -> None:
        page.goto(self.urls[site] + path)

    def press(self, page: Page) -> None:
        """Press the main button of the page's form."""
        follow(page, "main form:not(.choose-another) button.main:visible >> nth=0")

    def enter_pin(self, page: Page, site: str, pin: str) -> None:
        self.go(page, site)
        page.locator("[name=pin]").fill(pin)
        self.press(page)

    def log_on_user(self, page: Page, user: dict[str, Any]) -> None:
        self.enter_pin(page, "user", user["user_pin"])

    def answer_card(self, page: Page, contract: str = "contract") -> None:
        card = self.served.info[contract]["card"]
        for label in page.locator(".digit label").all():
            position = "".join(letter for letter in label.inner_text() if letter.isdigit())
            page.locator(f"#{label.get_attribute('for')}").fill(card[position])
        self.press(page)

    def log_on_administrator(self, page: Page) -> None:
        self.enter_pin(page, "administrator", self.served.info["contract"]["contract_pin"])
        self.answer_card(page)

    def change(self, page: Page, user_id: str, action: str, pin: str | None = None) -> None:
        self.go(page, "administrator", f"/contract/users/change?user_id={user_id}")
        page.locator(f"[name=action][value={action}]").check()
        right = self.served.info["contract"]["contract_confirmation_pin"]
        page.locator("[name=confirmation_pin]").fill(right if pin is None else pin)
        self.press(page)

    def fill_acquisition(self, page: Page, user: dict[str, Any] | None, pin: str | None = None) -> None:
        """Fill the form of the acquisition page, for a user or else for the administrator."""
        contract = self.served.info["contract"]
        page.locator("[name=contract_id]").fill(contract["contract_id"])
        if user is not None:
            page.locator("[name=user_id]").fill(user["user_id"])
        right = contract["contract_pin"] if user is None else user["user_pin"]
        confirmation = contract["contract_confirmation_pin"] if user is None else user["user_confirmation_pin"]
        page.locator("[name=pin]").fill(pin or right)
        page.locator("[name=confirmation_pin]").fill(confirmation)
        page.locator("form[data-acquire] button.main").click()

    def register(self, page: Page, user_id: str) -> None:
        """Register a user on the administrator's page."""
        self.go(page, "administrator", "/contract/users/new")
        right = self.served.info["contract"]["contract_confirmation_pin"]
        fields = {"user_id": user_id, "name": f"総務 {user_id[-2:]}", "mail_address": f"{user_id}@example.com"}
        for name, value in {**fields, "confirmation_pin": right}.items():
            page.locator(f"[name={name}]").fill(value)
        self.press(page)

    def mailed_code(self) -> str:
        """Return the code of the last mail that carried one."""
        return self.served.mailed_code()

    def enroll(self, name: str, user: dict[str, Any]) -> dict[str, Any]:
        """Acquire by EST; return the user with the certificate."""
        key = new_key(self.folder, name)
        answer = enroll(self.served, key, user)
        assert answer.status == 200, answer.code
        key.save(answer)
        return {**user, "certificate": str(key.certificate), "key": str(key.key)}

    def renew(self, name: str, user: dict[str, Any]) -> dict[str, Any]:
        key = new_key(self.folder, name)
        info = self.served.info
        answer = curl(
            self.served,
            f"{self.urls['user']}/.well-known/est/{info['bank']['code']}/simplereenroll",
            *("--cert", user["certificate"], "--key", user["key"]),
            *("-u", f"{info['contract']['contract_id']}/{user['user_id']}:{user['user_pin']}"),
            body=key.csr(),
        )
        assert answer.status == 200, answer.code
        key.save(answer)
        return {**user, "certificate": str(key.certificate), "key": str(key.key)}


@contextmanager
def walking(lang: str, playwright: Playwright, folder: Path, artifacts: Path) -> Iterator[Walk]:
    """Begin a walk in one language through a demo of its own, and judge the HTML of all its pages at the end."""
    judge = Judge(lang, artifacts if os.environ.get("SEKISHO_SCREENSHOTS") else None)
    served = Served(folder / "data", free_port_base(), env={NO_WORKER: "1"})
    with ExitStack() as running:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        running.callback(browser.close)
        served.start()
        running.callback(served.stop)
        yield Walk(served, browser, judge, folder, running)
    judge.assert_valid_html()


def follow(page: Page, selector: str) -> None:
    """Press what leads to another page, and wait for that page: a click alone returns before it is there."""
    with page.expect_navigation():
        page.locator(selector).click()


def told(page: Page, code: str) -> None:
    """Wait until the page's script shows a refusal."""
    page.locator(f"[role=alert][data-code={code}]").wait_for()


def send_form(page: Page, path: str, size: int = 0) -> None:
    """Send a form that no page of ours has."""
    with page.expect_navigation():
        page.evaluate(
            """([path, size]) => {
              const form = document.createElement("form"), field = document.createElement("input");
              [form.method, form.action, field.name, field.value] = ["post", path, "x", "x".repeat(size)];
              form.append(field); document.body.append(form); form.submit();
            }""",
            [path, size],
        )
