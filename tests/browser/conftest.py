"""Real browsers for the tests of this folder."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
from playwright.sync_api import expect, sync_playwright
from tests.browser.support.chromium import Computer
from tests.browser.support.firefox import Firefox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Playwright

# No test waits for a page in vain, and on a busy machine five seconds are soon over.
expect.set_options(timeout=60_000)


class Computers(Protocol):
    """Makes a computer with Chromium."""

    def __call__(
        self,
        name: str = ...,
        *,
        ca: Path | None = ...,
        language: str = ...,
        viewport: tuple[int, int] = ...,
        scale: float = ...,
        display: str | None = ...,
    ) -> Computer: ...


class Firefoxes(Protocol):
    """Makes a computer with Firefox."""

    def __call__(
        self,
        name: str = ...,
        *,
        ca: Path | None = ...,
        language: str = ...,
        viewport: tuple[int, int] = ...,
    ) -> Firefox: ...


# Not for the whole session: while it runs, Playwright's event loop is the running one of the thread, and
# neither asyncio nor a second Playwright works beside it in the tests of other modules.
@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder for pictures: SEKISHO_SCREENSHOTS, or one of pytest's own."""
    named = os.environ.get("SEKISHO_SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def computers(playwright: Playwright, tmp_path: Path, artifacts: Path) -> Iterator[Computers]:
    """Make computers with Chromium, each of its own name; their browsers end with the test."""
    with ExitStack() as running:

        def make(
            name: str = "computer",
            *,
            ca: Path | None = None,
            language: str = "ja",
            viewport: tuple[int, int] = (1280, 800),
            scale: float = 1,
            display: str | None = None,
        ) -> Computer:
            computer = Computer(
                playwright,
                tmp_path / name,
                ca=ca,
                language=language,
                viewport=viewport,
                scale=scale,
                screenshots=artifacts,
                display=display,
            )
            return running.enter_context(computer)

        yield make


@pytest.fixture
def firefox(playwright: Playwright, tmp_path: Path, artifacts: Path) -> Iterator[Firefoxes]:
    """Make computers with Firefox, each of its own name; their browsers end with the test."""
    with ExitStack() as running:

        def make(
            name: str = "firefox",
            *,
            ca: Path | None = None,
            language: str = "ja",
            viewport: tuple[int, int] = (1280, 800),
        ) -> Firefox:
            computer = Firefox(
                playwright,
                tmp_path / name,
                ca=ca,
                language=language,
                viewport=viewport,
                screenshots=artifacts,
            )
            return running.enter_context(computer)

        yield make
