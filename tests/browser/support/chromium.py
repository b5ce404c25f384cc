"""Debian's Chromium as one company computer: a home, a certificate store and a policy of its own.

Playwright's `client_certificates` answer the TLS handshake in a proxy of Playwright's, so they would show
nothing of what a browser does with its own store. Here the browser itself takes the certificate from its
NSS database, as the managed policy AutoSelectCertificateForUrls tells it.

Measured with Chromium 156:
- `~/.pki/nssdb` is the database if it exists; otherwise Chromium makes `~/.local/share/pki/nssdb`.
- What pk12util imports while the browser runs can be chosen at once, at a host without an earlier choice.
- A host's earlier choice is kept, "no certificate" included, whatever the policy says by then, until a
  request fails with ERR_BAD_SSL_CLIENT_AUTH_CERT. A connection opened in advance and refused while idle
  fails with ERR_SOCKET_NOT_CONNECTED instead, and the choice stays.
- A changed policy file is noticed after 5 s. The message behind "Reload policies" takes 40 ms, the first one
  after a start up to 5 s, and repeating it within that time only puts it off.
- A start takes 0.3 to 0.5 s.
- An empty database brings up no picker: the browser goes on without a certificate. One that holds a fitting
  certificate brings up a picker where no policy matches, and a headless browser waits for it for ever.
- Of several certificates that fit the policy's filter, Chromium takes one without asking.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Self, TypeAlias

from tests.browser.support.nss import NssDatabase

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from playwright.sync_api import BrowserContext, Page, Playwright, ViewportSize

Filter: TypeAlias = "Mapping[str, Mapping[str, str]]"
"""Which certificate: `{"SUBJECT": {"CN": ...}}`, `{"ISSUER": {"CN": ...}}`, both, or `{}` for any."""

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

# Chromium reads /etc/chromium/policies/managed and nothing else, so each computer sees a folder of its own
# there, in a mount namespace that ends with the browser. The bind covers the whole of /etc/chromium, which
# Debian's package brings: the folders below it need not exist. Whoever is not root gets a user namespace.
LAUNCHER = """\
#!/bin/sh
if [ "$(id -u)" = 0 ]; then user=""; else user="--user --map-root-user"; fi
exec unshare $user --mount --propagation private sh -c '
  mount --bind "$COMPUTER_ETC_CHROMIUM" /etc/chromium && exec /usr/bin/chromium "$@"' chromium "$@"
"""


class Computer:
    """A computer whose home is in `folder`; the browser starts with the first page and ends with the block.

    `ca` is a PEM file with the CA of the sites' TLS servers. `language` is "ja" or "en". `scale` is the
    number of device pixels for each CSS pixel. With `display` the browser has windows on that X display,
    and so dialogs of its own; otherwise it has neither.
    """

    def __init__(
        self,
        playwright: Playwright,
        folder: Path,
        *,
        ca: Path | None = None,
        language: str = "ja",
        viewport: tuple[int, int] = (1280, 800),
        scale: float = 1,
        screenshots: Path | None = None,
        display: str | None = None,
    ) -> None:
        self._playwright = playwright
        self._folder = folder
        self._language = language
        self._viewport: ViewportSize = {"width": viewport[0], "height": viewport[1]}
        self._scale = scale
        self._display = display
        self._screenshots = screenshots or folder
        self._policy = folder / "etc/policies/managed/choice.json"
        self._policy.parent.mkdir(parents=True)
        self._context: BrowserContext | None = None
        self.certificates = NssDatabase(folder / "home/.pki/nssdb")
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
            launcher = self._folder / "chromium"
            launcher.write_text(LAUNCHER)
            launcher.chmod(0o755)
            self._context = self._playwright.chromium.launch_persistent_context(
                self._folder / "profile",
                executable_path=launcher,
                headless=self._display is None,
                args=ARGUMENTS,
                env=self._environment(),
                locale={"ja": "ja-JP", "en": "en-US"}[self._language],
                viewport=self._viewport,
                device_scale_factor=self._scale,
            )
        return self._context

    def _environment(self) -> dict[str, str | float | bool]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
        return {
            **kept,
            "HOME": str(self._folder / "home"),
            "COMPUTER_ETC_CHROMIUM": str(self._policy.parents[2]),
            **({} if self._display is None else {"DISPLAY": self._display}),
        }

    def page(self) -> Page:
        """Return a new page; the browser's first blank one at first."""
        blank = [page for page in self.context.pages if page.url == "about:blank"]
        return blank[0] if blank else self.context.new_page()

    def choose(self, choices: Mapping[str, Filter]) -> None:
        """Have the browser choose by these filters, one for each URL pattern, and by no earlier ones.

        In force on return, in a running browser too. See above for what it does not change.
        """
        value = [json.dumps({"pattern": url, "filter": choice}) for url, choice in choices.items()]
        # Written elsewhere first, since Chromium reads every file of the folder, half-written ones too.
        draft = self._policy.parents[2] / "choice.json"
        draft.write_text(json.dumps({"AutoSelectCertificateForUrls": value}))
        draft.replace(self._policy)
        if self._context is not None:
            self._reload_policies(value)

    def _reload_policies(self, value: list[str]) -> None:
        page = self.context.new_page()
        page.goto("chrome://policy")
        page.evaluate("chrome.send('reloadPolicies')")
        # The row shows the value in force, as JSON; only the row of this policy holds such a value.
        shown = page.locator("policy-row").filter(has_text="AutoSelectCertificateForUrls")
        shown.locator(".value", has_text=json.dumps(value)).first.wait_for(state="attached")
        page.close()

    def zoom(self, factor: float) -> None:
        """Zoom all pages as a person does in the browser's menu: 2 means 200 %."""
        page = self.context.new_page()
        page.goto("chrome://settings/appearance")
        page.evaluate("zoom => new Promise(done => chrome.settingsPrivate.setDefaultZoom(zoom, done))", factor)
        page.close()

    def screenshot(self, name: str, page: Page | None = None) -> Path:
        """Save a picture of a whole page, the newest if none is given, and return its path."""
        path = self._screenshots / f"{name}.png"
        (page or self.context.pages[-1]).screenshot(path=path, full_page=True)
        return path
