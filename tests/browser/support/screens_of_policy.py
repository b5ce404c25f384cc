"""The console's pages of the bank's rules, with the computers of two policy keepers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.browser.support.walk import Walk, follow

if TYPE_CHECKING:
    from playwright.sync_api import Page

# Published codes that these pages tell.
CODES = {
    "policy-approved",
    "policy-called-off",
    "policy-in-force",
    "policy-proposed",
    "policy-refused",
    "policy-withdrawn",
    "proposal-decided",
    "proposal-outdated",
    "proposal-own",
    "proposal-unknown",
    "rules-not-allowed",
    "rules-unchanged",
}


def see_policy(walk: Walk) -> None:
    """See the rules as anybody of the bank sees them, and changes from the proposal to their end."""
    see = walk.judge.see
    clerk = at_console(walk, walk.served.staff("clerk"))
    walk.go(clerk, "console", "/policy")
    see(clerk, "console-policy-of-others")
    first, second = keeper(walk, "kisoku01"), keeper(walk, "kisoku02")
    one = at_console(walk, first)
    assert one.url.endswith("/policy"), "whoever only changes rules begins there"
    see(one, "console-policy")
    see_proposal(walk, one)
    other = at_console(walk, second)
    see_decision(walk, one, other)
    see_what_comes(walk, one, other)
    see_refusals(walk, one, other)
    walk.go(clerk, "console", "/policy")
    see(clerk, "console-policy-changed")
    walk.go(clerk, "console", "/policy/proposals/1")
    see(clerk, "console-policy-proposal-of-others")


def keeper(walk: Walk, staff_id: str, *more: str) -> dict[str, Any]:
    """Add a policy keeper by the command, as the operators do."""
    file = walk.folder / f"{staff_id}.p12"
    made = walk.served.sekisho(
        *(
            "staff",
            "add",
            staff_id,
            "--name",
            f"規則 {staff_id[-2:]}",
            "--role",
            "keeper",
            "--p12",
            str(file),
            "--json",
        ),
        *more,
    )
    assert made.returncode == 0, made.stderr
    told: dict[str, Any] = json.loads(made.stdout)
    return told | {"certificate": None, "key": None}


def at_console(walk: Walk, colleague: dict[str, Any]) -> Page:
    page = walk.page(colleague)
    walk.go(page, "console")
    page.locator("[name=staff_pin]").fill(colleague["pin"])
    walk.press(page)
    return page


def propose(walk: Walk, page: Page, group: str, reason: str, day: str = "", **typed: str) -> str:
    """Propose a change and return its number."""
    walk.go(page, "console", f"/policy/new/{group}")
    for name, value in {**typed, "reason": reason, "day": day}.items():
        page.locator(f"[name={name}]").fill(value)
    walk.press(page)
    return page.url.split("?")[0].rsplit("/", 1)[1]


def stop(page: Page, step: str, reason: str) -> None:
    page.locator("[name=reason]").fill(reason)
    follow(page, f"button[value={step}]")


def see_proposal(walk: Walk, page: Page) -> None:
    """See the form, what it says of wrong entries, and that what was typed stays."""
    see = walk.judge.see
    follow(page, "a[href='/policy/new/pins']")
    see(page, "console-policy-new")
    page.locator("[name=misses_before_closed]").fill("12")
    page.locator("[name=pins_remembered]").fill("たくさん")
    walk.press(page)
    see(page, "console-policy-new-wrong", code="rules-not-allowed")
    assert page.locator("[name=misses_before_closed]").input_value() == "12"
    page.locator("[name=misses_before_closed]").fill("7")
    page.locator("[name=pins_remembered]").fill("3")
    page.locator("[name=reason]").fill("何も変えない")
    walk.press(page)
    see(page, "console-policy-new-unchanged", code="rules-unchanged")
    for group in ("logon", "certificates", "acquisition", "service"):
        walk.go(page, "console", f"/policy/new/{group}")
        see(page, f"console-policy-new-{group}")
    propose(walk, page, "pins", "総合点検の指摘による", pin_age_days="６０", pins_remembered="4")
    see(page, "console-policy-proposed", code="policy-proposed")


def see_decision(walk: Walk, one: Page, other: Page) -> None:
    """See a proposal approved, and what comes too late for it."""
    see = walk.judge.see
    walk.go(other, "console", "/policy")
    see(other, "console-policy-waiting")
    follow(other, "section[aria-labelledby=waiting-heading] a[href^='/policy/proposals/']")
    see(other, "console-policy-to-approve")
    walk.press(other)
    see(other, "console-policy-in-force", code="policy-in-force")
    stop(one, "withdraw", "やはりやめる")
    see(one, "console-policy-decided", code="proposal-decided")


def see_what_comes(walk: Walk, one: Page, other: Page) -> None:
    """See a change that holds from a day on, and how it is called off."""
    see = walk.judge.see
    day = one.evaluate("new Date(Date.now() + 5 * 86400000).toISOString().slice(0, 10)")
    number = propose(walk, one, "service", "来月の契約改定", day, users_of_contract="50")
    walk.go(other, "console", f"/policy/proposals/{number}")
    see(other, "console-policy-to-approve-for-a-day")
    walk.press(other)
    see(other, "console-policy-approved", code="policy-approved")
    walk.go(one, "console", "/policy/new/service")
    one.locator("[name=users_of_contract]").fill("60")
    one.locator("[name=reason]").fill("もう一度")
    walk.press(one)
    see(one, "console-policy-waits", code="rules-not-allowed")
    walk.go(one, "console", "/policy")
    see(one, "console-policy-coming")
    walk.go(one, "console", f"/policy/proposals/{number}")
    stop(one, "call-off", "")
    see(one, "console-policy-without-a-reason", code="rules-not-allowed")
    stop(one, "call-off", "改定が延期された")
    see(one, "console-policy-called-off", code="policy-called-off")


def see_refusals(walk: Walk, one: Page, other: Page) -> None:
    """See what is refused, withdrawn, not theirs, outdated or unknown."""
    see = walk.judge.see
    refused = propose(walk, one, "service", "保存を延ばす", retention_years="10")
    walk.go(other, "console", f"/policy/proposals/{refused}")
    stop(other, "refuse", "費用を先に確かめる")
    see(other, "console-policy-refused", code="policy-refused")
    propose(walk, one, "service", "保存を延ばす", retention_years="9")
    stop(one, "withdraw", "出し直す")
    see(one, "console-policy-withdrawn", code="policy-withdrawn")
    number = propose(walk, one, "logon", "短くする", session_life_hours="6")
    third = at_console(walk, keeper(walk, "kisoku03", "--by", "kisoku01"))
    walk.go(third, "console", f"/policy/proposals/{number}")
    walk.press(third)
    see(third, "console-policy-own", code="proposal-own")
    done = walk.served.sekisho("policy", "set", "--session-life-hours", "7", "--emergency", "不審なログオン")
    assert done.returncode == 0, done.stderr
    walk.go(other, "console", f"/policy/proposals/{number}")
    walk.press(other)
    see(other, "console-policy-outdated", code="proposal-outdated")
    walk.go(other, "console", "/policy/proposals/99")
    see(other, "console-policy-unknown", code="proposal-unknown")
