"""Judges one page after another and keeps what can only be said of all of them together."""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING

from jinja2 import Environment, meta
from tests.browser.support.accessibility import (
    assert_accessible,
    assert_reflows,
    assert_tree,
    assert_valid_html,
)

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import BrowserContext, Page, Response

# What differs from one run to the next, and what stands for it in a snapshot.
DIFFERS = {
    r"\d{4}年\d{1,2}月\d{1,2}日": "DATE",
    r"\d{1,2} (January|February|March|April|May|June|July|August|September|October|November|December) \d{4}": "DATE",
    r"(January|February|March|April|May|June|July|August|September|October|November|December) \d{1,2}, \d{4}": "DATE",
    r"DATE,? \d{1,2}:\d\d( JST)?": "DATE AND TIME",
    r"\b20\d\d-\d\d-\d\d\b": "DAY",
    r"あと\d+日": "あとN日",
    r"\d+ days left": "N days left",
    r"([0-9a-f]{4} ){7}[0-9a-f]{4}": "SERIAL",
    r"\b\d{11}(?=\D|9990\b|keiri)": "CONTRACT-ID",
    r"\bcard=\d{20}\b": "card=CARD-NUMBER",
    r"localhost(:|%3A)\d+": "HOST",
    r"\d+番目の数字": "N番目の数字",
    r"Digit \d+": "Digit N",
    r"(?<![a-z0-9])(?=[a-z]*[2-9])(?=[2-9]*[a-z])[a-km-np-z2-9]{10}(?![a-z0-9])": "PROVISIONAL-PIN",
    r"data:application/pdf;base64,\S+": "PDF",
    r"([a-z2-9]{5}-){3}[a-z2-9]{5}": "PASSWORD",
    r'"?\b[0-9a-f]{8}\b"?': "REFERENCE",  # in quotes where it happens to look like a number
    r"blob:\S+": "BLOB",
    r"\b([A-Z2-7]{4} ){7}[A-Z2-7]{4}\b": "SECRET",
}


class Judge:
    """Judges the pages of one walk in one language.

    `pictures` is a folder for pictures of every page at 1280 and 320 pixels, or None.
    """

    def __init__(self, lang: str, pictures: Path | None = None) -> None:
        self.lang = lang
        self.templates: set[str] = set()
        self.codes: set[str] = set()
        self._pictures = pictures
        self._answers: dict[Page, Response] = {}
        self._sources: dict[str, str] = {}

    def page(self, context: BrowserContext) -> Page:
        """Open a page whose answers are kept for judging."""
        page = context.new_page()
        page.on("response", self._keep)
        return page

    def _keep(self, answer: Response) -> None:
        # In answer to a form the browser is sent on; the page is what comes last.
        if answer.request.is_navigation_request() and not 300 <= answer.status < 400:
            self._answers[answer.frame.page] = answer

    def see(self, page: Page, name: str, *, code: str | None = None, scripts: bool = True) -> None:
        """Judge a page as it stands, under a name of its own, and that it tells `code`, if one is named.

        Without `scripts` in the browser, axe-core cannot run either.
        """
        assert name not in self._sources, f"two pages are called {name}"
        page.wait_for_load_state()
        told = page.locator("[role=alert][data-code]:visible, [role=status][data-code]:visible")
        codes = [str(one.get_attribute("data-code")) for one in told.all()]
        assert codes == ([code] if code else []), f"{name} at {page.url}"
        assert page.locator("html").get_attribute("lang") == self.lang, name
        self.codes.update(codes)
        answer = self._answers[page]
        self.templates.add(answer.headers["x-template"])
        self._sources[name] = answer.text()
        try:
            if scripts:
                assert_accessible(page)
            assert_tree(page, f"{self.lang}/{name}", replacing=DIFFERS)
            assert_reflows(page)
        except AssertionError as found:
            raise AssertionError(f"{self.lang}/{name} at {page.url}:\n{found}") from None
        self._take_pictures(page, name)

    def _take_pictures(self, page: Page, name: str) -> None:
        if self._pictures is None:
            return
        for width in (320, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            page.screenshot(path=self._pictures / f"{name}-{self.lang}-{width}.png", full_page=True)

    def assert_valid_html(self) -> None:
        """Judge the HTML of all pages at once, as it was sent; a walk that looked at none has none."""
        if not self._sources:
            return
        try:
            assert_valid_html(*self._sources.values())
        except AssertionError as found:
            names = list(self._sources)
            told = re.sub(r"^\d+", lambda number: names[int(number[0])], str(found), flags=re.MULTILINE)
            raise AssertionError(told) from None

    def assert_every_template_was_seen(self, room: str = "portal", prefix: str = "") -> None:
        """Fail where a page stands among the templates that no page of this walk was made from."""
        missed = page_templates(room, prefix) - self.templates
        assert not missed, f"no page of the walk was made from {sorted(missed)}"


def page_templates(room: str, prefix: str) -> set[str]:
    """Return the templates of a room that are pages: all but those that others extend or import."""
    folder = resources.files(f"sekisho.{room}") / "templates"
    texts = {prefix + file.name: file.read_text("utf-8") for file in folder.iterdir()}
    environment = Environment(autoescape=True)
    used = {name for text in texts.values() for name in meta.find_referenced_templates(environment.parse(text))}
    return set(texts) - {name for name in used if name is not None}
