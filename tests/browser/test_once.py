"""A form that is pressed twice is sent once: the second answer would hide the first, which may show PINs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.browser.journey import see_outcome
from tests.browser.support.branch import Branch
from tests.browser.support.walk import Walk, walking
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page, Playwright, Route


def ready(branch: Branch, walk: Walk) -> str:
    """Have a form about PINs approved, and open it at the clerk's; return its address."""
    number = branch.receive("pin-reset")
    walk.press(branch.clerk)
    walk.go(branch.approver, "console", f"/forms/{number}")
    walk.press(branch.approver)
    walk.go(branch.clerk, "console", f"/forms/{number}")
    return f"/forms/{number}"


def hold_posts(page: Page) -> list[Route]:
    """Keep what the page posts from being answered."""
    held: list[Route] = []
    page.route("**/forms/*", lambda route: held.append(route) if route.request.method == "POST" else route.continue_())
    return held


def press_twice(page: Page, held: list[Route]) -> None:
    """Press the main button, and once more while the first is under way."""
    # By the page's own clock: Playwright asks nothing of a page that waits for an answer.
    page.evaluate(
        """() => {
             const button = document.querySelector("main form button.main");
             button.click();
             setTimeout(() => button.click(), 500);
           }"""
    )
    page.wait_for_timeout(1000)
    wait_until(lambda: held)


def test_a_second_press_does_not_hide_the_slip(playwright: Playwright, tmp_path: Path, artifacts: Path) -> None:
    with walking("ja", playwright, tmp_path, artifacts) as walk:
        branch = Branch(walk)
        page = branch.clerk
        path = ready(branch, walk)
        held = hold_posts(page)
        press_twice(page, held)
        assert len(held) == 1
        held.pop().continue_()
        see_outcome(page, "form-carried-out")
        assert page.locator(".secret").count() == 2
        page.unroute_all()
        page.go_back()
        page.wait_for_url(f"**{path}")
        page.locator("header form button").first.click()
        page.wait_for_url("**/logged-off")


def test_a_press_that_was_given_up_can_be_repeated_on_the_page_that_comes_back(
    playwright: Playwright, tmp_path: Path, artifacts: Path
) -> None:
    with walking("ja", playwright, tmp_path, artifacts) as walk:
        branch = Branch(walk)
        page = branch.clerk
        ready(branch, walk)
        held = hold_posts(page)
        press_twice(page, held)
        held.pop().abort("aborted")
        page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
        page.unroute_all()
        walk.press(page)
        see_outcome(page, "form-carried-out")
