"""The console's pages, as each of the bank's own people meets them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import rsa
from tests.browser.support import screens_of_policy
from tests.browser.support.branch import log_on, through_branch
from tests.browser.support.screens_of_policy import see_policy
from tests.browser.support.walk import Walk, follow, walking
from tests.support.card_maker import Maker
from tests.support.scans import PDF

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page, Playwright

WRONG = "wrong111"
# Published codes that the console tells and the customers' sites do not.
CODES = screens_of_policy.CODES | {
    "cards-none-to-print",
    "contract-unknown",
    "form-unknown",
    "form-without-effect",
    "identity-not-confirmed",
    "scan-not-accepted",
    "staff-closed",
}

# How much was counted depends on how fast the walk is.
STILL = """() => {
  for (const one of document.querySelectorAll("td .cell-lines, .figure-total"))
    one.innerText = one.innerText.replace(/[\\d,]+/, "N");
}"""


def see_console(lang: str, playwright: Playwright, tmp_path: Path, artifacts: Path) -> None:
    """Walk through the console in one language, and judge each of its pages."""
    with walking(lang, playwright, tmp_path, artifacts) as walk:
        see_door(walk)
        see_contracts(walk)
        see_forms(walk)
        see_cards(walk, tmp_path)
        see_opening(walk)
        see_stop_by_telephone(walk)
        see_own_pin(walk)
        see_policy(walk)
        see_who_is_kept_out(walk)
    walk.judge.assert_every_template_was_seen("console", "console/")
    assert walk.judge.codes >= CODES


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
    see_overview(walk, page)
    see_audit_trail(walk, page)


def see_overview(walk: Walk, page: Page) -> None:
    """See the figures before anything was counted, and with their tables closed and open."""
    walk.go(page, "console", "/overview")
    page.wait_for_load_state()
    page.evaluate(STILL)
    walk.judge.see(page, "console-overview-not-yet")
    walk.served.sekisho("worker", "--once")
    walk.go(page, "console", "/overview")
    page.wait_for_load_state()
    page.evaluate(STILL)
    walk.judge.see(page, "console-overview")
    for one in page.locator("summary").all():
        one.click()
    walk.judge.see(page, "console-overview-tables")


def see_audit_trail(walk: Walk, page: Page) -> None:
    """See the search before and after something was looked for, with a day that is none, and with nothing found."""
    see, contract = walk.judge.see, walk.served.info["contract"]["contract_id"]
    follow(page, ".console-menu a[href='/audit']")
    see(page, "console-audit")
    page.locator("[name=contract_id]").fill(contract)
    page.locator("[name=action]").select_option("contract-read")
    walk.press(page)
    see(page, "console-audit-found")
    page.locator("[name=staff]").fill("nobody")
    walk.press(page)
    see(page, "console-audit-none")
    walk.go(page, "console", "/audit?since=2026-13-01")
    see(page, "console-audit-not-a-date", code="details-not-allowed")


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
    for name, content, seen, code in (
        ("not-a-scan.pdf", b"<html>", "console-scan-refused", "scan-not-accepted"),
        ("scan.pdf", PDF, "console-scan-added", "scan-added"),
    ):
        clerk.locator("[name=scan]").set_input_files({"name": name, "mimeType": "application/pdf", "buffer": content})
        clerk.locator("form[action$='/scans'] button").click()
        see(clerk, seen, code=code)
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


def see_opening(walk: Walk) -> None:
    """See a request for a new contract from the counter to its slip."""
    see, roles = walk.judge.see, ("clerk", "approver")
    clerk, approver = (walk.page(walk.served.staff(role)) for role in roles)
    for page, role in zip((clerk, approver), roles, strict=True):
        log_on(walk, page, walk.served.staff(role))
    walk.go(clerk, "console", "/forms")
    follow(clerk, "a[href='/openings']")
    see(clerk, "console-opening")
    clerk.locator("[name=company_name]").fill("株式会社新見本")
    clerk.locator("[name=contract_id]").fill("123")
    walk.press(clerk)
    see(clerk, "console-opening-refused", code="details-not-allowed")
    clerk.locator("[name=administrator_name]").fill("見本 花子")
    clerk.locator("[name=contract_id]").fill(walk.served.info["contract"]["contract_id"])
    walk.press(clerk)
    see(clerk, "console-opening-taken", code="details-not-allowed")
    clerk.locator("[name=contract_id]").fill("99999999990")
    walk.press(clerk)
    see(clerk, "console-opening-received", code="form-received")
    number = clerk.url.split("?")[0].rsplit("/", 1)[1]
    walk.press(clerk)
    walk.go(approver, "console", f"/forms/{number}")
    walk.press(approver)
    walk.go(clerk, "console", f"/forms/{number}")
    walk.press(clerk)
    see(clerk, "console-opening-slip", code="form-carried-out")


def see_cards(walk: Walk, folder: Path) -> None:
    """See a card from the order to the post as the operations centre sees it, and the contract's page then."""
    see, operator = walk.judge.see, walk.served.staff("operator")
    page = walk.page(operator)
    log_on(walk, page, operator)
    walk.go(page, "console", "/cards")
    see(page, "console-cards-none")
    through_branch(walk, "card-reissue")
    walk.go(page, "console", "/cards")
    see(page, "console-cards-ordered")
    maker = Maker(folder, datetime.now(UTC), rsa.generate_private_key(65537, 2048))
    set_maker = walk.served.sekisho("card", "maker", str(maker.folder / "maker.pem"))
    assert set_maker.returncode == 0, set_maker.stderr
    walk.go(page, "console", "/cards")
    see(page, "console-cards-to-print")
    late = walk.page_with_cookies_of(page, operator)
    walk.go(late, "console", "/cards")
    with page.expect_download() as downloading:
        page.locator("form[action='/cards/print'] button").click()
    downloading.value.save_as(folder / "downloaded.p7m")
    assert len(maker.read((folder / "downloaded.p7m").read_bytes())) == 1
    walk.go(page, "console", "/cards")
    see(page, "console-cards-made")
    walk.press(page)
    see(page, "console-cards-none-chosen", code="choice-missing")
    page.get_by_role("checkbox").check()
    walk.press(page)
    see(page, "console-cards-posted", code="cards-posted")
    late.locator("form[action='/cards/print'] button").click()
    see(late, "console-cards-none-to-print", code="cards-none-to-print")
    walk.go(page, "console", f"/contracts/{walk.served.info['contract']['contract_id']}")
    see(page, "console-contract-card-posted")


def see_stop_by_telephone(walk: Walk) -> None:
    """See a call that confirms nobody, and one after which keiri01 is stopped."""
    see, clerk = walk.judge.see, walk.served.staff("clerk")
    page = walk.page(clerk)
    log_on(walk, page, clerk)
    walk.go(page, "console", f"/contracts/{walk.served.info['contract']['contract_id']}")
    follow(page, "a[href$='/telephone']")
    see(page, "console-telephone")
    walk.press(page)
    see(page, "console-telephone-missing", code="choice-missing")
    page.locator("[name=call_back]").fill("０３-１２３４-５６７８")
    for name, answer in (("administrator_name", "right"), ("number_of_users", "right"), ("last_logon", "wrong")):
        page.locator(f"[name={name}][value={answer}]").check()
    page.locator("[name=branch_and_opening][value=not-asked]").check()
    page.locator("[name=what][value=user]").check()
    page.locator("[name=user_id]").fill("keiri01")
    walk.press(page)
    see(page, "console-telephone-not-confirmed", code="identity-not-confirmed")
    page.locator("[name=last_logon][value=not-asked]").check()
    walk.press(page)
    see(page, "console-telephone-stopped", code="stopped-by-telephone")


def see_own_pin(walk: Walk) -> None:
    """See a clerk replace their PIN; it is put back at the end."""
    see, clerk = walk.judge.see, walk.served.staff("clerk")
    page = walk.page(clerk)
    log_on(walk, page, clerk)
    walk.go(page, "console", "/pin")
    see(page, "console-pin-change")
    walk.press(page)
    see(page, "console-pin-change-missing", code="entry-missing")
    for present, new in ((clerk["pin"], "jibun1aa"), ("jibun1aa", clerk["pin"])):
        page.locator("[name=staff_pin]").fill(present)
        page.locator("[name=new_staff_pin]").fill(new)
        page.locator("[name=new_staff_pin_again]").fill(new)
        walk.press(page)
    see(page, "console-pin-changed", code="staff-pin-changed")


def see_who_is_kept_out(walk: Walk) -> None:
    approver = walk.served.staff("approver")
    page = walk.page(approver)
    for _ in range(7):
        log_on(walk, page, approver, WRONG)
    walk.judge.see(page, "console-closed", code="staff-closed")
