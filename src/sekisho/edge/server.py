"""Several sites on one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import uvicorn

from sekisho.edge.context import Replacement, SiteTls, server_context
from sekisho.edge.protocol import EdgeProtocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sekisho.edge.choice import ChoiceBook

log = logging.getLogger("sekisho.edge")
_HANDSHAKE_S = 10.0
_TLS_CLOSE_S = 5.0
_KEEP_ALIVE_S = 20
_GRACE_S = 10
_BACKLOG = 2048
_CONNECTIONS = 10_000
_CERTIFICATE_CHECK_S = 2.0

__all__ = ["AddressInUse", "Site", "SiteTls", "serve"]


class AddressInUse(Exception):  # noqa: N818 - names what happened
    """Another program listens where a site should."""


@dataclass(frozen=True, slots=True)
class Site:
    """One listener: an ASGI application on an address, behind TLS or (None) without."""

    name: str
    host: str
    port: int
    app: Any
    tls: SiteTls | None


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers, which belong to the command line, and with TLS deadlines."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self.lifespan.startup()
        config = self.config

        def protocol() -> asyncio.Protocol:
            return config.http_protocol_class(  # type: ignore[call-arg]
                config=config, server_state=self.server_state, app_state=self.lifespan.state
            )

        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(
                protocol,
                sock=one,
                ssl=config.ssl,
                backlog=_BACKLOG,
                ssl_handshake_timeout=_HANDSHAKE_S if config.ssl else None,
                ssl_shutdown_timeout=_TLS_CLOSE_S if config.ssl else None,
            )
            for one in sockets or []
        ]
        self.started = True


async def serve(sites: Sequence[Site], *, ready: Callable[[], None], stop: asyncio.Event) -> None:
    """Serve until `stop` is set, then let what is under way end, for ten seconds at most.

    Every port is bound before any site starts. `ready` is called once when
    all of them answer. Raises `AddressInUse`, and whatever `ready` raises.
    """
    with contextlib.ExitStack() as bound:
        sockets = [bound.enter_context(contextlib.closing(_bind(site))) for site in sites]
        servers = [_server(site) for site in sites]
        everything = asyncio.gather(
            *(server.serve([one]) for (server, _), one in zip(servers, sockets, strict=True)),
            _replace([replacement for _, replacement in servers if replacement], stop),
        )
        try:
            while not all(server.started for server, _ in servers):
                await asyncio.sleep(0.005)
                if everything.done():
                    everything.result()
            ready()
            await stop.wait()
        finally:
            stop.set()
            for server, _ in servers:
                server.should_exit = True
            await asyncio.gather(everything, return_exceptions=True)


def _bind(site: Site) -> socket.socket:
    family = socket.AF_INET6 if ":" in site.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((site.host, site.port))
        bound.listen(_BACKLOG)
    except OSError as taken:
        bound.close()
        if taken.errno in {errno.EADDRINUSE, errno.EACCES}:
            why = "is in use by another program" if taken.errno == errno.EADDRINUSE else "may not be used"
            raise AddressInUse(f"port {site.port} of {site.host}, where the {site.name} site listens, {why}") from None
        raise
    return bound


def _server(site: Site) -> tuple[_Server, Replacement | None]:
    context = None if site.tls is None else server_context(site.tls)
    protocol = EdgeProtocol
    if site.tls is not None:
        protocol = _protocol_with(site.tls.choices)
    config = uvicorn.Config(
        site.app,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
        limit_concurrency=_CONNECTIONS,
        ssl_context_factory=None if context is None else lambda _config, _default: context,
    )
    return _Server(config), None if context is None or site.tls is None else Replacement(context, site.tls)


def _protocol_with(choices: ChoiceBook) -> type[EdgeProtocol]:
    """Return the protocol for connections that this book is asked about: uvicorn makes them by class."""
    kind: type[EdgeProtocol] = type("SiteProtocol", (EdgeProtocol,), {"choices": choices})
    return kind


async def _replace(replacements: Sequence[Replacement], stop: asyncio.Event) -> None:
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _CERTIFICATE_CHECK_S)
        for replacement in replacements:
            replacement.check()
