"""A bank's EST in this process: the real routes, use cases, database and CA, without a socket."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
from tests.support.world import BANK, CONTRACT, KEIRI01, PINS

from sekisho.domain.person import Kind
from sekisho.edge.choice import ChoiceBook
from sekisho.est.routes import public_routes, secure_routes
from sekisho.web.client_cert import EXTENSION
from sekisho.web.csrf import FormTokens
from sekisho.web.render import Renderer
from sekisho.web.site import Site
from sekisho.web.site_app import site_app
from sekisho.web.turnstile import Turnstile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp, Receive, Scope, Send
    from tests.support.world import World

    from sekisho.domain.person import PersonId
    from sekisho.usecases.ports import Ports

EST = "/.well-known/est"


class Shown:
    """Stands where the edge does: the handshake showed `der`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.der: bytes | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self.der is not None:
            scope = {**scope, "extensions": {**scope.get("extensions", {}), EXTENSION: self.der}}
        await self.app(scope, receive, send)


class EstSite:
    """One site and a client of it."""

    def __init__(self, bank: World, name: str, ports: Ports | None = None) -> None:
        urls = {one: f"https://{one}.example.com" for one in ("public", "administrator", "user")}
        kind = None if name == "public" else Kind(name)
        site = Site(
            *(name, lambda: BANK, kind, urls, ports or bank.ports, Renderer(), FormTokens(b"f" * 32)),
            *(Turnstile(site_at_once=4), ChoiceBook()),
        )
        certificates = [bank.made.root.certificate, *(pair.certificate for pair in bank.cas.values())]
        routes = public_routes(site, certificates) if kind is None else secure_routes(site, certificates)
        self.shown = Shown(site_app(site, routes))
        transport = httpx.ASGITransport(self.shown, raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url=urls[name])
        self._loop = asyncio.Runner()

    def close(self) -> None:
        self._loop.run(self.http.aclose())
        self._loop.close()

    def ask(
        self, operation: str, body: bytes | None = None, *, method: str | None = None, **headers: str
    ) -> httpx.Response:
        """Ask for an operation, with POST where there is a body."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            named = {"content-type": "application/pkcs10", **named}
        asked: Any = self.http.request(
            method or ("GET" if body is None else "POST"), f"{EST}/{operation}", content=body, headers=named
        )
        answer: httpx.Response = self._loop.run(asked)
        return answer


def credentials(who: PersonId = KEIRI01, *, renewal: bool = False) -> str:
    """Return an Authorization header with a person's right PINs."""
    from base64 import b64encode

    name = CONTRACT if who.user_id is None else f"{CONTRACT}/{who.user_id}"
    pins = PINS[who][0] if renewal else ":".join(PINS[who])
    return "Basic " + b64encode(f"{name}:{pins}".encode()).decode()


@contextmanager
def est_site(bank: World, name: str = "public", ports: Ports | None = None) -> Iterator[EstSite]:
    site = EstSite(bank, name, ports)
    try:
        yield site
    finally:
        site.close()
