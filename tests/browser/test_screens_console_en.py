"""Every page of the console, in English: WCAG, HTML, small screens, a screen reader's tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.browser.support.screens_of_console import see_console

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Playwright


def test_every_page_of_the_console(playwright: Playwright, tmp_path: Path, artifacts: Path) -> None:
    see_console("en", playwright, tmp_path, artifacts)
