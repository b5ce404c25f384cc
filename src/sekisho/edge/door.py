"""Where one site's visitors come in: so many at once, each with a deadline on the handshake."""

from __future__ import annotations

import asyncio
import errno
import logging
from typing import TYPE_CHECKING, Any

from uvicorn import Config
from uvicorn.server import ServerState

from sekisho.edge.prompt import PromptProtocol
from sekisho.edge.protocol import EdgeProtocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    from sekisho.edge.current import CurrentContext
    from sekisho.edge.prompt import AtHand

log = logging.getLogger("sekisho.edge")
_HANDSHAKE_S = 10.0
_TLS_CLOSE_S = 10.0
_KEEP_ALIVE_S = 20
_FAREWELL_S = 1.0  # for a visitor's side to hear that a connection ends
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_EXHAUSTED_S = 0.5


class Door:
    """Accepts the connections of one listening socket and serves them.

    At most `most` are open at once; further ones wait outside.

    uvicorn contributes HTTP. Its own Server is left out: it takes the
    process's signals, and bounds neither connections nor their handshakes.
    """

    def __init__(
        self,
        listening: socket.socket,
        app: Any,
        current: CurrentContext | None,
        most: int,
        at_hand: AtHand | None = None,
    ) -> None:
        """Without TLS, `at_hand` is asked before the application."""
        self._listening = listening
        self._app = app
        self._at_hand = at_hand if current is None else None
        self._current = current
        self._choices = None if current is None else current.tls.choices
        self._places = asyncio.Semaphore(most)
        self._visits: dict[asyncio.Task[None], EdgeProtocol] = {}
        self._state = ServerState()
        self._closing = False
        self._config = Config(
            self._answer,
            http=EdgeProtocol,
            ws="none",
            interface="asgi3",
            lifespan="off",
            log_config=None,
            log_level="error",  # what strangers send is not worth a line
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
        )
        self._config.load()

    async def serve(self) -> None:
        """Let visitors in until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._places.acquire()
            try:
                visitor, _ = self._listening.accept()
                visitor.setblocking(False)  # noqa: FBT003 - has no name for it
            except BlockingIOError:
                self._places.release()
                await self._somebody_knocks()
                continue
            except OSError as failure:
                self._places.release()
                if failure.errno in _EXHAUSTED:
                    log.error("no visitor can be let in for now: %s", failure.strerror)  # noqa: TRY400
                    await asyncio.sleep(_EXHAUSTED_S)
                continue
            protocol = self._protocol()
            visit = loop.create_task(self._visit(visitor, protocol))
            self._visits[visit] = protocol
            visit.add_done_callback(self._leave)

    def _protocol(self) -> EdgeProtocol:
        if self._at_hand is not None:
            return PromptProtocol(self._config, self._state, self._at_hand)
        return EdgeProtocol(self._config, self._state, self._choices)

    async def _somebody_knocks(self) -> None:
        """Wait until there may be a visitor to accept.

        Not asyncio's own sock_accept: cancelled at the wrong moment it has
        accepted a visitor and drops them.
        """
        loop = asyncio.get_running_loop()
        knocked = asyncio.Event()
        loop.add_reader(self._listening, knocked.set)
        try:
            await knocked.wait()
        finally:
            loop.remove_reader(self._listening)

    async def leave(self) -> None:
        """Let every connection end by itself, each after one more answer or when nobody has used it for a while.

        So no request meets a connection that is being closed: somebody else
        accepts on the same socket.
        """
        for protocol in self._visits.values():
            protocol.leave()
        await _wait(self._visits, _KEEP_ALIVE_S + _HANDSHAKE_S + _FAREWELL_S)

    async def close(self, grace_s: float) -> None:
        """Let what is being answered be answered within `grace_s`, and end everything else."""
        self._closing = True
        for visit, protocol in list(self._visits.items()):
            if protocol in self._state.connections:
                protocol.shutdown()
            else:
                visit.cancel()
        await _wait(self._visits, _FAREWELL_S)
        self._abort(idle=True)
        await _wait([*self._visits, *self._state.tasks], grace_s)
        self._abort(idle=False)
        await _wait(self._visits, _FAREWELL_S)
        for answer in self._state.tasks:
            answer.cancel()
        await _wait(self._state.tasks, _FAREWELL_S)

    def _abort(self, *, idle: bool) -> None:
        for protocol in self._visits.values():
            if protocol in self._state.connections and (protocol.is_idle or not idle):
                protocol.transport.abort()

    async def _visit(self, visitor: socket.socket, protocol: EdgeProtocol) -> None:
        tls: dict[str, Any] = {}
        if self._current is not None:
            tls = {
                "ssl": self._current.context,
                "ssl_handshake_timeout": _HANDSHAKE_S,
                "ssl_shutdown_timeout": _TLS_CLOSE_S,
            }
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: protocol, visitor, **tls)
        except OSError as failure:
            log.debug("a visitor did not come in: %s", failure)
        else:
            await protocol.ended

    def _leave(self, visit: asyncio.Task[None]) -> None:
        self._places.release()
        del self._visits[visit]
        if not visit.cancelled() and (bug := visit.exception()) is not None:
            log.error("a visit ended in a bug", exc_info=bug)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            if not self._closing:
                raise
            log.warning("the answer to %s %s was not finished in time", scope["method"], scope["path"])


async def _wait(what: Iterable[asyncio.Task[None]], seconds: float) -> None:
    if waited := list(what):
        await asyncio.wait(waited, timeout=seconds)
