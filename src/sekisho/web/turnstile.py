"""Bounds what costs an argon2 check."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import ipaddress
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sekisho.domain.errors import TooManyRequests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

WAITING_AT_MOST = 100
_IPV6_NETWORK = 64
_LOOK_S = 0.01


@dataclass(slots=True)
class _Queue:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    here: int = 0


class Turnstile:
    """Lets one visitor of each address through at a time, and so many of the whole site.

    The rest wait their turn in the event loop, where waiting costs no
    thread, so that a flood takes nothing away from people who are logged on.
    An IPv6 customer has a whole /64 network and counts as one address.
    Where several processes serve the site, `places` makes it one visitor of
    each address for all of them.
    """

    def __init__(self, *, site_at_once: int, site_waiting: int = 1000, places: Places | None = None) -> None:
        self._places = places
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
                if self._places is None:
                    yield
                else:
                    async with self._places.held(key):
                        yield
        finally:
            self._inside -= 1
            queue.here -= 1
            if not queue.here:
                del self._queues[key]


class Places:
    """One place for each address, for all processes of a machine.

    Record locks (fcntl) on single bytes of a file: the kernel gives them back
    when their process ends, however it ends.
    """

    def __init__(self, file: Path) -> None:
        self._file = file.open("wb")

    @asynccontextmanager
    async def held(self, address: str) -> AsyncIterator[None]:
        """Hold the address's place while the block lasts, waiting while another process holds it."""
        place = int.from_bytes(hashlib.sha256(address.encode()).digest()[:4]) >> 1
        while not self._take(place):  # noqa: ASYNC110 - what is waited for is in another process
            await asyncio.sleep(_LOOK_S)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)

    def _take(self, place: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except OSError as held:
            if held.errno not in {errno.EACCES, errno.EAGAIN}:
                raise
            return False
        return True


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
