"""Bounds what costs an argon2 check."""

from __future__ import annotations

import asyncio
import ipaddress
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sekisho.domain.errors import TooManyRequests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WAITING_AT_MOST = 100
_IPV6_NETWORK = 64


@dataclass(slots=True)
class _Queue:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    here: int = 0


class Turnstile:
    """Lets one visitor of each address through at a time, and so many of the whole site.

    The rest wait their turn in the event loop, where waiting costs no
    thread, so that a flood takes nothing away from people who are logged on.
    An IPv6 customer has a whole /64 network and counts as one address.
    """

    def __init__(self, *, site_at_once: int, site_waiting: int = 1000) -> None:
        self._site = asyncio.Semaphore(site_at_once)
        self._site_most = site_waiting
        self._inside = 0
        self._queues: dict[str, _Queue] = {}

    @asynccontextmanager
    async def passing(self, address: str) -> AsyncIterator[None]:
        """Wait for a turn and hold it while the block lasts. Raises `TooManyRequests` where the queue is too long."""
        key = _group(address)
        queue = self._queues.setdefault(key, _Queue())
        if queue.here > WAITING_AT_MOST or self._inside >= self._site_most:
            raise TooManyRequests
        queue.here += 1
        self._inside += 1
        try:
            async with queue.lock, self._site:
                yield
        finally:
            self._inside -= 1
            queue.here -= 1
            if not queue.here:
                del self._queues[key]


def _group(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.IPv6Network((parsed, _IPV6_NETWORK), strict=False))
    return str(parsed)
