"""Browsers with several tabs at one site's application, without a network: what is sent, and what comes back.

Requests go to the applications themselves; the certificate stands in the
scope as the edge puts it there.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
from tests.support.person import Page
from tests.support.world import BANK, CARD

from sekisho.edge.choice import ChoiceBook
from sekisho.portal.administrator import administrator_app
from sekisho.portal.user import user_app
from sekisho.web.client_cert import EXTENSION
from sekisho.web.csrf import FormTokens
from sekisho.web.render import Renderer
from sekisho.web.site import Site
from sekisho.web.turnstile import Turnstile

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal
    from starlette.types import ASGIApp, Receive, Scope, Send
    from tests.support.world import World

    from sekisho.domain.certificate import IssuedCertificate
    from sekisho.domain.person import Kind

HOST = "https://localhost"


class Browser:
    """Asks an application without a network, one thing after another; cookies stay, as between the tabs of one."""

    def __init__(self, portal: BlockingPortal, app: ASGIApp) -> None:
        self._portal = portal
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        headers = {"origin": HOST, "accept-language": "ja"}
        self._client = httpx.AsyncClient(transport=transport, base_url=HOST, headers=headers, follow_redirects=True)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self._portal.call(partial(self._client.get, path, **options))

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self._portal.call(partial(self._client.post, path, **options))

    def tab(self, path: str, **query: str) -> Page:
        """Open a page in a tab, to be looked at or sent later."""
        return _page(self.get(path, params=query))

    def send(self, tab: Page, path: str, **fields: str) -> Page:
        """Send the form of a tab as it stood when that was opened."""
        return _page(self.post(path, data={**tab.hidden, **fields}))

    def log_on(self, pin: str) -> Page:
        """Log on, an administrator with the card, and return the page that comes first then."""
        page = self.send(self.tab("/"), "/", pin=pin)
        if page.path != "/card":
            return page
        positions = re.findall(r">(\d+)番目の数字<", page.text)
        return self.send(page, "/card", **{f"digit_{n}": CARD[p] for n, p in enumerate(positions, 1)})


def secure_site(bank: World, kind: Kind) -> ASGIApp:
    """Return the application of one of the secure sites."""
    forms, turnstile = FormTokens(b"f" * 32), Turnstile(site_at_once=2)
    urls = {"public": "https://public", "administrator": HOST, "user": HOST}
    site = Site(kind.value, lambda: BANK, kind, urls, bank.ports, Renderer(), forms, turnstile, ChoiceBook())
    make = administrator_app if kind.value == "administrator" else user_app
    return make(site, chains={}, est=[])


def computer(bank: World, held: IssuedCertificate, portal: BlockingPortal) -> Browser:
    """Return a browser on a computer that holds the certificate, at the secure site that is its."""
    return Browser(portal, with_certificate(secure_site(bank, held.kind), held.der))


def with_certificate(app: ASGIApp, der: bytes) -> ASGIApp:
    """Have every request come with a certificate."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["extensions"] = {**scope.get("extensions", {}), EXTENSION: der}
        await app(scope, receive, send)

    return answer


def _page(answer: httpx.Response) -> Page:
    return Page(answer.status_code, answer.url.path, answer.text, answer.headers)
