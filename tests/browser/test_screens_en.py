"""Every page that a person can reach, in English: WCAG, HTML, small screens, a screen reader's tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.browser.support.screens import see_every_page

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Playwright


def test_every_page_that_a_person_can_reach(playwright: Playwright, tmp_path: Path, artifacts: Path) -> None:
    see_every_page("en", playwright, tmp_path, artifacts)
