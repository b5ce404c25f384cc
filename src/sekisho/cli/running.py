"""Run an installation: its sites and its worker, with the CA beside them."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from sekisho import background, wiring, wiring_ca, wiring_sites
from sekisho.ca import child
from sekisho.ca.staff_journal import StaffJournal
from sekisho.cli import root_lists
from sekisho.cli.failure import FolderInUse
from sekisho.cli.workers import supervise
from sekisho.domain.errors import CaAway
from sekisho.edge.server import serve as serve_listeners
from sekisho.store import audit
from sekisho.store.audit import Actor
from sekisho.usecases.follow_policy import BankInForce
from sekisho.usecases.reconcile import notice_restore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from starlette.types import ASGIApp

    from sekisho.domain.contract import Bank
    from sekisho.edge.server import Site as Listener
    from sekisho.settings import Settings
    from sekisho.usecases.ports import Ports


log = logging.getLogger("sekisho")
# Reading five million certificates takes minutes.
_VERIFY_S = 3600.0


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a data folder for one server alone. Raises `FolderInUse`."""
    with (folder / "lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderInUse(f"{folder} is served by another Sekisho already") from None
        yield


def serve(
    settings: Settings,
    ready: Callable[[], None],
    *,
    prepare: Callable[[Ports, Bank], None] = lambda _ports, _bank: None,
    adapt: Callable[[Ports], Ports] = lambda ports: ports,
    around: Callable[[ASGIApp], ASGIApp] = lambda app: app,
    ca_command: Sequence[str] | None = None,
    workers: int = 1,
    behind: bool = True,
) -> None:
    """Serve a data folder until SIGINT or SIGTERM, with this process alone or with so many `workers` of it.

    With `behind` it does the work that nobody waits for as well. `ready` is
    called once every listener answers. `prepare` runs before, with the CA up.
    `adapt`, `around` and `ca_command` let a test put its own clock and faults
    in, where this process is the one that serves.
    """
    make_run_folder(settings)
    if settings.ca.socket is None:
        ca: AbstractContextManager[None] = child.running(ca_command or child.command(settings.data_dir))
    else:
        ca = nullcontext()  # it runs apart, and may come up later than this
    with held(settings.data_dir):
        if settings.ca.socket is None:
            wiring_ca.take_prepared(
                settings
            )  # not by a CA that is started anew later: all of Sekisho takes it together
        with wiring.open_ports(settings) as opened, ca:
            ports = adapt(opened)
            bank = wiring.load_bank(settings, ports)
            root_lists.follow(settings, ports)
            look_for_restore(ports, bank)
            prepare(ports, bank)
            in_force = BankInForce(ports, bank)
            with in_force.followed():
                if workers > 1:
                    supervise(settings, ports, in_force, workers, ready, behind=behind)
                    return
                sites = wiring_sites.build_sites(settings, ports, in_force)
                listeners = [replace(site, app=around(site.app)) for site in sites]
                asyncio.run(_serve(listeners, ports, in_force, ready, behind=behind))


def work(settings: Settings, ready: Callable[[], None]) -> None:
    """Do the work that nobody waits for, and nothing else, until SIGINT or SIGTERM."""
    with wiring.open_ports(settings) as ports:
        in_force = BankInForce(ports, wiring.load_bank(settings, ports))
        with in_force.followed():
            asyncio.run(_work(ports, in_force, ready))


async def _work(ports: Ports, bank: Callable[[], Bank], ready: Callable[[], None]) -> None:
    stop = _stopped_by_signals()
    ready()
    await background.work(ports, bank, stop)


def work_once(settings: Settings) -> list[background.Outcome] | None:
    """Do what of that work is there now; None where another process does it."""
    with wiring.open_ports(settings) as ports:
        return background.work_once(ports, wiring.load_bank(settings, ports))


@contextmanager
def with_ca(settings: Settings) -> Iterator[tuple[Ports, Settings]]:
    """Open the ports with a CA that answers: that of the running server, the one that runs apart, or one of our own."""
    with wiring.open_ports(settings) as ports:
        try:
            ports.records[settings.bank].latest()
        except CaAway:
            if settings.ca.socket is not None:
                raise
        else:
            yield ports, settings
            return
        make_run_folder(settings)
        with held(settings.data_dir), child.running(child.command(settings.data_dir)):
            yield ports, settings


def verify_journal(settings: Settings) -> None:
    """Have the CA read its whole journal, and read that of the staff's CA. Raises `JournalBroken` and `CaAway`."""
    StaffJournal(settings.staff_ca_dir, lambda: wiring_ca.ca_passphrase(settings)).verify()
    client = wiring.ca_client(settings, deadline_s=_VERIFY_S)
    try:
        client.verify()
    finally:
        client.close()


def look_for_restore(ports: Ports, bank: Bank) -> None:
    """Say where the database is older than the CA's journal. A CA that is away is asked later, in the background."""
    with suppress(CaAway):
        if notice_restore(ports, bank=bank.code, actor=Actor(audit.SYSTEM)):
            log.error(
                "the database is older than the CA's journal, as after a restore: what had ended was ended again; "
                "run: sekisho ca reconcile --repair"
            )


def make_run_folder(settings: Settings) -> None:
    """Make the private folder of the CA's socket. Raises PermissionError where it is somebody else's."""
    folder = settings.run_dir
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(13, "belongs to somebody else", str(folder))


async def _serve(
    listeners: list[Listener], ports: Ports, bank: Callable[[], Bank], ready: Callable[[], None], *, behind: bool
) -> None:
    stop = _stopped_by_signals()
    working = asyncio.create_task(background.work(ports, bank, stop) if behind else stop.wait())
    try:
        await serve_listeners(listeners, ready=ready, stop=stop)
    finally:
        stop.set()
        await working


def _stopped_by_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop
