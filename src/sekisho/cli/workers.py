"""Several processes that serve the same sites, and one that watches over them.

The sockets are bound once and every worker accepts on them, so a worker that
goes, or is replaced, takes no visitor with it: the next comes to another.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

from sekisho import background, wiring, wiring_sites
from sekisho.cli.failure import WorkerDidNotStart
from sekisho.cli.log import start_log
from sekisho.domain.errors import Refusal
from sekisho.edge.server import bound
from sekisho.edge.server import serve as serve_listeners
from sekisho.settings import DatabaseNotUsable, DataFolderDamaged
from sekisho.usecases.follow_policy import BankInForce

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from multiprocessing.context import SpawnProcess
    from multiprocessing.synchronize import Event

    from sekisho.domain.contract import Bank
    from sekisho.edge.server import Site as Listener
    from sekisho.settings import Settings
    from sekisho.usecases.ports import Ports

log = logging.getLogger("sekisho")
_spawn = multiprocessing.get_context("spawn")
_LOOK_S = 0.2
_START_S = 60.0
# A worker that leaves waits for connections that nobody uses, and for what is being answered.
_LEAVE_S = 45.0
_STOP_S = 15.0
# Between tries to start a worker that does not start: as when the database is away.
_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 15.0


def supervise(
    settings: Settings, ports: Ports, bank: Callable[[], Bank], count: int, ready: Callable[[], None], *, behind: bool
) -> None:
    """Serve with so many workers until SIGINT or SIGTERM; SIGHUP replaces each by a new one.

    Raises `AddressInUse` and `WorkerDidNotStart`.
    """
    listeners = wiring_sites.build_sites(settings, ports, bank, processes=count)
    with bound(listeners) as sockets:
        asyncio.run(Workers(settings, sockets, count).run(ports, bank, ready, behind=behind))


class Workers:
    """The workers of one node."""

    def __init__(self, settings: Settings, sockets: Sequence[socket.socket], count: int) -> None:
        self._settings = settings
        self._sockets = sockets
        self._count = count
        self._running: list[SpawnProcess] = []
        self._pause_s = 0.0
        self._start_at = 0.0
        self._stop = asyncio.Event()
        self._renew = asyncio.Event()

    async def run(self, ports: Ports, bank: Callable[[], Bank], ready: Callable[[], None], *, behind: bool) -> None:
        """Start the workers, keep them running, and with `behind` do the work that nobody waits for."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._renew.set)
        try:
            self._running = list(await asyncio.gather(*(self._start() for _ in range(self._count))))
            working = asyncio.create_task(background.work(ports, bank, self._stop) if behind else self._stop.wait())
            ready()
            while not self._stop.is_set():
                await self._look()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), _LOOK_S)
            await working
        finally:
            await asyncio.gather(*(self._end(worker, signal.SIGTERM, _STOP_S) for worker in self._running))

    async def _look(self) -> None:
        """Start anew what has ended by itself, and replace the workers where that is asked for."""
        for at, worker in enumerate(self._running):
            if not worker.is_alive() and asyncio.get_running_loop().time() >= self._start_at:
                if not self._pause_s:
                    log.error("a worker ended with %s and another is started", worker.exitcode)
                await self._replace(at)
        if self._renew.is_set():
            self._renew.clear()
            for at, worker in enumerate(self._running):
                if await self._replace(at):
                    await self._end(worker, signal.SIGHUP, _LEAVE_S)
            log.info("every worker was replaced")

    async def _replace(self, at: int) -> bool:
        try:
            self._running[at] = await self._start()
        except WorkerDidNotStart:
            self._pause_s = min(2 * self._pause_s or _PAUSE_S, _LONGEST_PAUSE_S)
            self._start_at = asyncio.get_running_loop().time() + self._pause_s
            log.error("a worker did not start; the next try comes in %g seconds", self._pause_s)  # noqa: TRY400 - it has said why itself
            return False
        self._pause_s = self._start_at = 0.0
        return True

    async def _start(self) -> SpawnProcess:
        ready = _spawn.Event()
        worker = _spawn.Process(
            target=_work, args=(self._settings, list(self._sockets), self._count, ready), name="worker", daemon=True
        )
        try:
            await asyncio.to_thread(worker.start)
        except OSError as full:
            log.error("no process can be made for a worker: %s", full.strerror)  # noqa: TRY400 - the trace says no more
            raise WorkerDidNotStart from full
        deadline = asyncio.get_running_loop().time() + _START_S
        while not ready.is_set():
            if not worker.is_alive() or asyncio.get_running_loop().time() > deadline:
                await self._end(worker, signal.SIGKILL, _STOP_S)
                raise WorkerDidNotStart
            await asyncio.sleep(0.02)
        return worker

    @staticmethod
    async def _end(worker: SpawnProcess, number: signal.Signals, patience_s: float) -> None:
        """Ask a worker to end, and end it where it does not."""
        if worker.is_alive() and worker.pid is not None:
            os.kill(worker.pid, number)
            await asyncio.to_thread(worker.join, patience_s)
            if worker.is_alive():
                worker.kill()
        await asyncio.to_thread(worker.join)
        worker.close()


def _work(settings: Settings, sockets: list[socket.socket], count: int, ready: Event) -> None:
    """Be a worker: SIGTERM ends it at once, SIGHUP when its visitors are gone; it ends with who started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C on the terminal is for who started it
    start_log()
    try:
        with wiring.open_ports(settings) as ports:
            in_force = BankInForce(ports, wiring.load_bank(settings, ports))
            with in_force.followed():
                listeners = wiring_sites.build_sites(settings, ports, in_force, processes=count)
                asyncio.run(_serve(listeners, sockets, ready))
    except (DatabaseNotUsable, DataFolderDamaged, Refusal) as said:
        log.error("%s", said)  # noqa: TRY400 - it says what is wrong
        raise SystemExit(1) from None


async def _serve(listeners: list[Listener], sockets: list[socket.socket], ready: Event) -> None:
    stop, leave = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGHUP, leave.set)
    parent = multiprocessing.parent_process()
    if parent is not None:
        loop.add_reader(parent.sentinel, stop.set)
    await serve_listeners(listeners, ready=ready.set, stop=stop, sockets=sockets, leave=leave)
