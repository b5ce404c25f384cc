"""The pki site of a bank in memory, on a real socket of loopback."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

from sekisho.edge.server import Site, serve
from sekisho.va.routes import PkiSite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.world import World

_PATIENCE_S = 30


@contextmanager
def pki_site(bank: World, port: int) -> Iterator[None]:
    """Serve it there while the block lasts."""
    names = {"root": bank.made.root} | {ca.name: pair for ca, pair in bank.cas.items()}
    certificates = {name: pair.certificate.public_bytes(Encoding.DER) for name, pair in names.items()}
    pki = PkiSite(bank.ports, bank.bank, certificates)
    site = Site("pki", "127.0.0.1", port, pki, None, pki.at_hand)
    ready = threading.Event()
    ending: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        stop = asyncio.Event()
        ending.append((asyncio.get_running_loop(), stop))
        await serve([site], ready=ready.set, stop=stop)

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert ready.wait(_PATIENCE_S)
    try:
        yield
    finally:
        loop, stop = ending[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(_PATIENCE_S)
