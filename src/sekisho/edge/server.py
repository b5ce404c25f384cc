"""All sites of an installation on one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import resource
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sekisho.edge.context import SiteTls
from sekisho.edge.current import CurrentContext
from sekisho.edge.door import Door
from sekisho.edge.unusable import AddressInUse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sekisho.edge.prompt import AtHand

__all__ = ["Site", "SiteTls", "serve"]

_GRACE_S = 10.0
_LOOK_S = 2.0
_BACKLOG = 1024
_MOST_CONNECTIONS = 2_000
_OTHER_FILES = 256


@dataclass(frozen=True, slots=True)
class Site:
    """One listener: an ASGI application on an address, behind TLS or (None) without.

    Without TLS, `at_hand` may know whole answers, and is asked first.
    """

    name: str
    host: str
    port: int
    app: Any
    tls: SiteTls | None
    at_hand: AtHand | None = None


@contextlib.contextmanager
def bound(sites: Sequence[Site]) -> Iterator[list[socket.socket]]:
    """Bind every site's port, all or none, for one process or several to serve. Raises `AddressInUse`."""
    with contextlib.ExitStack() as closing:
        yield [closing.enter_context(_bind(site)) for site in sites]


async def serve(
    sites: Sequence[Site],
    *,
    ready: Callable[[], None],
    stop: asyncio.Event,
    sockets: Sequence[socket.socket] | None = None,
    leave: asyncio.Event | None = None,
    grace_s: float = _GRACE_S,
    look_s: float = _LOOK_S,
) -> None:
    """Serve until `stop` is set, then let what is being answered be answered, for `grace_s` at most.

    `sockets` are the sites' listening sockets where other processes serve
    them as well; once `leave` is set, this one accepts no more visitors and
    returns when those that it has are gone, so that none of them notices.

    Every port is bound before any site starts, and `ready` is called once all
    of them answer. Server certificates are looked at every `look_s` and taken
    into use when their files have changed. Signals are the caller's.
    Raises `AddressInUse` and `ServerCertificateUnusable`, and whatever
    `ready` raises.
    """
    most = _connections_for_each(len(sites))
    with contextlib.ExitStack() as closing:
        if sockets is None:
            sockets = closing.enter_context(bound(sites))
        contexts = [None if site.tls is None else CurrentContext(site.tls) for site in sites]
        doors = [
            Door(listening, site.app, context, most, site.at_hand)
            for listening, site, context in zip(sockets, sites, contexts, strict=True)
        ]
        work = [asyncio.create_task(door.serve()) for door in doors]
        work += [asyncio.create_task(context.keep_current(look_s)) for context in contexts if context is not None]
        stopped = asyncio.create_task(stop.wait())
        left = asyncio.create_task((leave or asyncio.Event()).wait())
        try:
            ready()
            done, _ = await asyncio.wait([stopped, left, *work], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopped, left}:
                task.result()  # raises: none of them ends by itself
            if left in done:
                await _cancel(work)
                leaving = [asyncio.create_task(door.leave()) for door in doors]
                gone = asyncio.ensure_future(asyncio.wait(leaving))
                await asyncio.wait([stopped, gone], return_when=asyncio.FIRST_COMPLETED)
                await _cancel([gone, *leaving])
        finally:
            await _cancel([stopped, left, *work])
            for listening in sockets:
                listening.close()
            await asyncio.gather(*(door.close(grace_s) for door in doors))


async def _cancel(tasks: Sequence[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _bind(site: Site) -> socket.socket:
    family = socket.AF_INET6 if ":" in site.host else socket.AF_INET
    # With the protocol named, asyncio finds it to be TCP and sends small answers at once (TCP_NODELAY).
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # Else the port could not be taken again while old connections linger. Two listeners it does not allow.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setblocking(False)  # noqa: FBT003 - has no name for it
        listening.bind((site.host, site.port))
        listening.listen(_BACKLOG)
    except OSError as failure:
        listening.close()
        why = {
            errno.EADDRINUSE: "is in use by another program",
            errno.EACCES: "may not be used by this user",
            errno.EADDRNOTAVAIL: "is not of this computer",
        }.get(failure.errno or 0, str(failure))
        raise AddressInUse(f"{site.host} port {site.port}, where the {site.name} site listens, {why}") from failure
    return listening


def _connections_for_each(sites: int) -> int:
    """Return how many connections each of `sites` may hold, having raised the limit on open files as far as allowed.

    Whoever opens too many waits outside; databases and logs can still be opened.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = sites * _MOST_CONNECTIONS + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return max(1, min(_MOST_CONNECTIONS, (soft - _OTHER_FILES) // sites))
