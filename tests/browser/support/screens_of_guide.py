"""The guide: from the bank's page through its questions to a plan, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.browser.support.walk import follow

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from tests.browser.support.walk import Walk


def see_guide(walk: Walk) -> None:
    """Answer as whoever has the most to do, and change one answer in the end. No script is needed for any of it."""
    see = walk.judge.see
    page = walk.page()
    walk.go(page, "public")
    follow(page, "main a[href='/guide']")
    see(page, "guide")
    choose(page, "whose", "both")
    choose(page, "old", "works")
    see(page, "guide-question")
    page.go_back()
    choose(page, "old", "lost")
    choose(page, "locked", "contract-closed")
    choose(page, "pins", "forgotten-both")
    choose(page, "card", "lost")
    see(page, "guide-plan-longest")
    walk.go(page, "public", "/guide?whose=user&old=works&certificate=valid&locked=no&pins=known&card=at-hand")
    see(page, "guide-plan-shortest")
    follow(page, ".back a")
    assert page.locator(".menu a").count() == 3, "back asks the last question again"


def choose(page: Page, question: str, answer: str) -> None:
    follow(page, f".menu a[href*='{question}={answer}']")
