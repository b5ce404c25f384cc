"""Debian's Chromium as one company computer: a home, a certificate store and a policy of its own.

Playwright's `client_certificates` answer the TLS handshake in a proxy of Playwright's, so they would show
nothing of what a browser does with its own store. Here the browser itself takes the certificate from its
NSS database, as the managed policy AutoSelectCertificateForUrls tells it.

Measured with Chromium 156:
- `~/.pki/nssdb` is the database if it exists; otherwise Chromium makes `~/.local/share/pki/nssdb`.
- What pk12util imports while the browser runs can be chosen at once, at hosts without an earlier choice.
- A changed policy file is noticed after 5 s; the message behind "Reload policies" takes 40 ms.
- An empty database brings up no picker: the browser goes on without a certificate. A certificate that fits
  what the server asks for, with no policy for the URL, brings up a picker, and a headless browser hangs.
- Of several certificates that fit the policy's filter, Chromium takes one without asking.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Self

from tests.browser.support.nss import NssDatabase

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from playwright.sync_api import BrowserContext, Page, Playwright, ViewportSize

type_filter = dict[str, dict[str, str]]

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
# there, in a mount namespace that ends with the browser. The bind covers the whole of /etc/chromium: the
# folders below it need not exist on the machine. Whoever is not root gets a user namespace as well.
LAUNCHER = """\
#!/bin/sh
if [ "$(id -u)" = 0 ]; then user=""; else user="--user --map-root-user"; fi
exec unshare $user --mount --propagation private sh -c '
  mount --bind "$COMPUTER_ETC_CHROMIUM" /etc/chromium && exec /usr/bin/chromium "$@"' chromium "$@"
"""

POLICY = "AutoSelectCertificateForUrls"
