"""Debian's Firefox ESR as one company computer, driven by Playwright over WebDriver BiDi.

Measured with Firefox ESR 153: the profile's own NSS database is used; "Select Automatically" takes the
first certificate that fits the CAs named in the handshake, so a profile needs but one for each site; an
empty database goes on without a certificate; a start takes 3 to 4 s.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.browser.support.nss import NssDatabase

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page, Playwright, ViewportSize

ROOT = Path(__file__).parents[3]

PREFERENCES: dict[str, str | float | bool] = {
    "security.default_personal_cert": "Select Automatically",
    # The database of the profile is the computer's only store.
    "security.osclientcerts.autoload": False,
    # Nothing is fetched from the makers' hosts.
    "app.normandy.enabled": False,
    "browser.newtabpage.activity-stream.asrouter.providers.message-groups": "",
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.search.update": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "messaging-system.rsexperimentloader.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "security.OCSP.enabled": 0,
    "services.settings.server": "data:,",
}

LAUNCHER = """\
#!/bin/sh
cd {root} && exec {python} -m tests.browser.support.firefox_relay "$@"
"""


class Firefox:
    """A computer with Firefox; the browser starts with the first page and ends with the block.

    `ca` is a PEM file with the CA of the sites' TLS servers; `language` is "ja" or "en".
    """

    def __init__(
        self,
        playwright: Playwright,
        folder: Path,
        *,
        ca: Path | None = None,
        language: str = "ja",
        viewport: tuple[int, int] = (1280, 800),
        screenshots: Path | None = None,
    ) -> None:
        self._playwright = playwright
        self._folder = folder
        self._language = language
        self._viewport: ViewportSize = {"width": viewport[0], "height": viewport[1]}
        self._screenshots = screenshots or folder
        self._context: BrowserContext | None = None
        self.certificates = NssDatabase(folder / "profile")
        if ca is not None:
            self.certificates.trust_ca(ca)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._context is not None:
            self._context.close()
            self._context = None

    @property
    def context(self) -> BrowserContext:
        """The running browser, started by the first use."""
        if self._context is None:
            home = self._folder / "home"
            home.mkdir(exist_ok=True)
            launcher = self._folder / "firefox"
            python, root = shlex.quote(sys.executable), shlex.quote(str(ROOT))
            launcher.write_text(LAUNCHER.format(python=python, root=root))
            launcher.chmod(0o755)
            kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
            self._context = self._playwright.firefox.launch_persistent_context(
                self._folder / "profile",
                # Names the protocol to speak; which program to start says the path.
                channel="moz-firefox",
                executable_path=launcher,
                env={**kept, "HOME": str(home)},
                firefox_user_prefs=PREFERENCES,
                locale={"ja": "ja-JP", "en": "en-US"}[self._language],
                viewport=self._viewport,
            )
        return self._context

    def page(self) -> Page:
        """Return a new page; the browser's first blank one at first."""
        blank = [page for page in self.context.pages if page.url == "about:blank"]
        return blank[0] if blank else self.context.new_page()

    def screenshot(self, name: str, page: Page | None = None) -> Path:
        """Save a picture of a whole page, the newest if none is given, and return its path."""
        path = self._screenshots / f"{name}.png"
        (page or self.context.pages[-1]).screenshot(path=path, full_page=True)
        return path
