"""The console's pages, as each of the bank's own people meets them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.browser.support.walk import Walk, follow, walking

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page, Playwright

WRONG = "wrong111"
# Published codes that the console tells and the customers' sites do not.
CODES = {"contract-unknown", "form-unknown", "form-without-effect", "staff-closed"}


def see_console(lang: str, playwright: Playwright, tmp_path: Path, artifacts: Path) -> None:
    """Walk through the console in one language, and judge each of its pages."""
    with walking(lang, playwright, tmp_path, artifacts) as walk:
        see_door(walk)
        see_contracts(walk)
        see_forms(walk)
        see_who_is_kept_out(walk)
    walk.judge.assert_every_template_was_seen("console", "console/")
    assert walk.judge.codes >= CODES


def log_on(walk: Walk, page: Page, colleague: dict[str, Any], pin: str | None = None) -> None:
    walk.go(page, "console")
    page.locator("[name=staff_pin]").fill(pin or colleague["pin"])
    walk.press(page)


def by_name(page: Page) -> None:
    """Put the companies in the order of their names: contract IDs are drawn, and with them their own order."""
    page.locator("tbody").evaluate(
        "body => body.append(...[...body.rows].sort((a, b) => a.cells[1].innerText < b.cells[1].innerText ? -1 : 1))"
    )


def see_door(walk: Walk) -> None:
    see = walk.judge.see
    visitor = walk.page()
    walk.go(visitor, "console")
    see(visitor, "console-certificate-missing", code="certificate-missing")
    customer = walk.page(walk.served.user("keiri01"))
    walk.go(customer, "console")
    see(customer, "console-certificate-unknown", code="certificate-unknown")
    clerk = walk.served.staff("clerk")
    page = walk.page(clerk)
    walk.go(page, "console", "/contracts")
    see(page, "console-session-missing", code="session-missing")
    walk.go(page, "console")
    see(page, "console-pin")
    walk.press(page)
    see(page, "console-pin-missing", code="entry-missing")
    log_on(walk, page, clerk, WRONG)
    see(page, "console-pin-wrong", code="entry-wrong")


def see_contracts(walk: Walk) -> None:
    """See the search and a contract as a branch's clerk, and then as the auditor sees them."""
    see, clerk = walk.judge.see, walk.served.staff("clerk")
    page = walk.page(clerk)
    log_on(walk, page, clerk)
    by_name(page)
    see(page, "console-search")
    page.locator("[name=q]").fill("ｍｉｈｏｎ")
    walk.press(page)
    see(page, "console-search-none")
    page.locator("[name=q]").fill("見本商事")
    walk.press(page)
    see(page, "console-search-found")
    contract = walk.served.info["contract"]["contract_id"]
    follow(page, f"a[href='/contracts/{contract}']")
    see(page, "console-contract")
    walk.go(page, "console", "/contracts/00000000000")
    see(page, "console-contract-unknown", code="contract-unknown")
    walk.go(page, "console", "/contracts")
    follow(page, ".person button")
    see(page, "console-logged-off")
    auditor = walk.served.staff("auditor")
    page = walk.page(auditor)
    log_on(walk, page, auditor)
    by_name(page)
    see(page, "console-search-of-the-centre")


def see_forms(walk: Walk) -> None:
    """See a request form from the counter to its end, with a clerk's and an approver's computer."""
    see, contract = walk.judge.see, walk.served.info["contract"]["contract_id"]
    clerk, approver = walk.page(walk.served.staff("clerk")), walk.page(walk.served.staff("approver"))
    log_on(walk, clerk, walk.served.staff("clerk"))
    log_on(walk, approver, walk.served.staff("approver"))
    walk.go(clerk, "console", f"/contracts/{contract}/forms")
    see(clerk, "console-form-kinds")
    clerk.locator("[value=contract-change]").check()
    walk.press(clerk)
    see(clerk, "console-form-new")
    walk.press(clerk)
    see(clerk, "console-form-new-missing", code="details-not-allowed")
    clerk.locator("[name=new_administrator]").fill("見本 次郎")
    clerk.locator("[name=mail_address]").fill("jiro@example.co.jp")
    walk.press(clerk)
    see(clerk, "console-form-received", code="form-received")
    number = clerk.url.split("?")[0].rsplit("/", 1)[1]
    walk.press(clerk)
    see(clerk, "console-form-seal-checked", code="form-seal-checked")
    walk.go(approver, "console", "/forms")
    see(approver, "console-forms")
    follow(approver, f"a[href='/forms/{number}']")
    walk.press(approver)
    see(approver, "console-form-approved", code="form-approved")
    walk.go(clerk, "console", f"/forms/{number}")
    walk.press(clerk)
    see(clerk, "console-form-slip", code="form-carried-out")
    walk.go(clerk, "console", f"/forms/{number}")
    see(clerk, "console-form-ended")
    walk.go(clerk, "console", "/forms?number=12345")
    see(clerk, "console-form-unknown", code="form-unknown")
    walk.go(clerk, "console", f"/contracts/{contract}/forms?kind=lockout-lift")
    walk.press(clerk)
    walk.press(clerk)
    number = clerk.url.split("?")[0].rsplit("/", 1)[1]
    walk.go(approver, "console", f"/forms/{number}")
    walk.press(approver)
    walk.go(clerk, "console", f"/forms/{number}")
    walk.press(clerk)
    see(clerk, "console-form-without-effect", code="form-without-effect")


def see_who_is_kept_out(walk: Walk) -> None:
    approver = walk.served.staff("approver")
    page = walk.page(approver)
    for _ in range(7):
        log_on(walk, page, approver, WRONG)
    walk.judge.see(page, "console-closed", code="staff-closed")
