"""A person who uses the keyboard alone: what the Tab key reaches, in which order, and whether the focus can be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

# Where the Tab key has to stop: whatever can be operated, in the order of the page; of a group of radio
# buttons the chosen one, or the first.
_STOPS = """
() => {
  const all = [...document.querySelectorAll("a[href], button, input, select, textarea, summary")];
  const seen = all.filter(e => e.type !== "hidden" && !e.disabled && e.checkVisibility({visibilityProperty: true}));
  const chosen = e => document.querySelector(`input[type=radio][name="${e.name}"]:checked`)
    ?? document.querySelector(`input[type=radio][name="${e.name}"]`);
  window.stops = seen.filter(e => e.type !== "radio" || e === chosen(e));
  return window.stops.length;
}
"""

# Number among the stops (-1 for another element, null for none), the name a person reads, and whether they see it.
_FOCUSED = """
async () => {
  await new Promise(requestAnimationFrame);  // the page scrolls to the focus before it is drawn anew
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  const style = getComputedStyle(e), box = e.getBoundingClientRect();
  const framed = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return {
    number: (window.stops ?? []).indexOf(e),
    name: (e.labels?.[0] ?? e).textContent.trim().replace(/\\s+/g, " "),
    tag: e.tagName.toLowerCase(),
    id: e.id,
    framed: framed || style.boxShadow !== "none",
    inside: box.width > 0 && box.top >= 0 && box.left >= 0 && box.bottom <= innerHeight && box.right <= innerWidth,
    box: [box.left, box.top, box.right, box.bottom, innerWidth, innerHeight].map(Math.round),
    covered: !(top && (e.contains(top) || top.contains(e))),
  };
}
"""


class Keyboard:
    """The keyboard at one page; every stop of the Tab key has to be visible."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def press(self, key: str) -> None:
        self._page.keyboard.press(key)

    def type(self, text: str) -> None:
        self._page.keyboard.type(text)

    def focused(self) -> dict[str, Any] | None:
        """Return what has the focus, or None."""
        focused: dict[str, Any] | None = self._page.evaluate(_FOCUSED)
        return focused

    def see_focus(self, **expected: str) -> None:
        """Check the name, the tag or the id of what has the focus."""
        focused = self.focused()
        assert focused is not None
        assert {key: focused[key] for key in expected} == expected

    def _see_focus(self) -> dict[str, Any] | None:
        focused = self.focused()
        if focused is not None:
            assert focused["framed"], f"the focus cannot be seen: {focused}"
            assert focused["inside"], f"the focus is out of sight: {focused}"
            assert not focused["covered"], f"the focus is under something: {focused}"
        return focused

    def go_round(self) -> None:
        """Press Tab until each thing that can be operated has had the focus, in the order of the page."""
        self._page.wait_for_load_state()
        number = self._page.evaluate(_STOPS)
        met: list[int] = []
        for _ in range(number + 2):  # between the last and the first the browser itself has the focus
            if len(met) == number:
                break
            self.press("Tab")
            if (focused := self._see_focus()) is not None:
                assert focused["number"] >= 0, f"nothing can be done here: {focused}"
                met.append(focused["number"])
        first = met[0]
        assert met == [(first + n) % number for n in range(number)], f"not the order of the page: {met}"

    def go_to(self, name: str) -> None:
        """Press Tab until what bears this name has the focus."""
        self._page.wait_for_load_state()
        met = []
        for _ in range(60):
            self.press("Tab")
            focused = self._see_focus()
            if focused is not None and focused["name"] == name:
                return
            met.append(focused and focused["name"])
        raise AssertionError(f"the Tab key does not come to {name}, but to {met}")
