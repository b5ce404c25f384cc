"""Sites that do next to nothing, on the same edge as Sekisho's own: what a page could cost at best.

FastAPI is none of Sekisho's parts. It is here as the yardstick that others
know, and comes with the packages of `make bench`.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sekisho.edge.choice import ChoiceBook
from sekisho.edge.server import Site, SiteTls, serve

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.synchronize import Event
    from pathlib import Path

    from starlette.types import Receive, Scope, Send

_READY_S = 60
_HELLO = b"Hello, world"
_HEADERS = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(_HELLO)).encode())]


class FastApiMissing(Exception):  # noqa: N818 - names what is missing
    """The yardstick is not installed."""


@contextmanager
def sites(
    certificate: Path, key: Path, authorities: Sequence[bytes], ports: tuple[int, int, int]
) -> Iterator[tuple[int, int, int]]:
    """Serve raw ASGI at the first port and FastAPI at the second, both behind mutual TLS, in a process of their own.

    At the third port it is raw ASGI without TLS.
    """
    try:
        import fastapi  # noqa: F401 - looked for here, used in the process
    except ImportError:
        raise FastApiMissing("the bench needs FastAPI; `make bench` installs it") from None
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Event()
    server = spawn.Process(target=_serve, args=(certificate, key, list(authorities), ports, ready), daemon=True)
    server.start()
    try:
        if not ready.wait(_READY_S):
            raise RuntimeError("the sites that say hello did not start")
        yield ports
    finally:
        server.terminate()
        server.join(_READY_S)


def _serve(certificate: Path, key: Path, authorities: list[bytes], ports: tuple[int, int, int], ready: Event) -> None:
    asyncio.run(_until_terminated(certificate, key, authorities, ports, ready))


async def _until_terminated(
    certificate: Path, key: Path, authorities: list[bytes], ports: tuple[int, int, int], ready: Event
) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    parent = multiprocessing.parent_process()
    if parent is not None:
        asyncio.get_running_loop().add_reader(parent.sentinel, stop.set)
    apps: list[tuple[str, Any]] = [("asgi", _hello), ("fastapi", _fastapi())]
    listeners = [
        Site(name, "127.0.0.1", port, app, SiteTls(certificate, key, authorities, ChoiceBook()))
        for (name, app), port in zip(apps, ports[:2], strict=True)
    ]
    listeners.append(Site("plain", "127.0.0.1", ports[2], _hello, None))
    await serve(listeners, ready=ready.set, stop=stop)


async def _hello(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _HELLO})


def _fastapi() -> Any:
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/")
    def hello() -> dict[str, str]:
        return {"hello": "world"}

    return app
