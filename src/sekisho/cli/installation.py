"""Set up a data folder, and serve one."""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import signal
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sekisho import background, wiring
from sekisho.ca import child, keys, peer, process
from sekisho.cli.failure import FolderInUse, NoSuchUser
from sekisho.cli.workers import supervise
from sekisho.edge.server import serve as serve_listeners
from sekisho.pki import hierarchy
from sekisho.pki.profile import BankName
from sekisho.store import banks, migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from starlette.types import ASGIApp

    from sekisho.domain.contract import Bank
    from sekisho.edge.server import Site as Listener
    from sekisho.settings import Settings
    from sekisho.usecases.ports import Ports


def set_up(settings: Settings, bank: Bank) -> None:
    """Make keys, secrets and database of a new installation; the settings file comes last and makes it whole.

    Raises FileExistsError where one is there, whole or not: nothing is replaced.
    """
    folder = settings.data_dir
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(17, "is not empty; nothing was changed", str(folder))
    now = datetime.now(UTC)
    made = hierarchy.make(
        BankName(settings.bank, settings.organization),
        pki_url=settings.sites["pki"].url,
        now=now,
        entropy=secrets.token_bytes,
    )
    keys.save(settings.ca_dir, made)
    wiring.make_secrets(settings)
    (folder / settings.tls_certificate).parent.mkdir(mode=0o700, exist_ok=True)
    db = wiring.open_store(settings)
    try:
        with wiring.database_told():
            migrate.upgrade(db)
            db.write(lambda tx: banks.add(tx, bank, now))
    finally:
        db.close()
    if settings.database_url is None:
        settings.database.chmod(0o600)
    settings.save()


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
) -> None:
    """Serve a data folder until SIGINT or SIGTERM, with this process alone or with so many `workers` of it.

    `ready` is called once every listener answers. `prepare` runs before,
    with the CA up. `adapt`, `around` and `ca_command` let a test put its own
    clock and faults in, where this process is the one that serves.
    """
    make_run_folder(settings)
    if settings.ca.socket is None:
        ca: AbstractContextManager[None] = child.running(ca_command or child.command(settings.data_dir))
    else:
        ca = nullcontext()  # it runs apart, and may come up later than this
    with held(settings.data_dir), wiring.open_ports(settings) as opened, ca:
        ports = adapt(opened)
        bank = wiring.load_bank(settings, ports)
        prepare(ports, bank)
        if workers > 1:
            supervise(settings, ports, bank, workers, ready)
            return
        listeners = [replace(site, app=around(site.app)) for site in wiring.build_sites(settings, ports)]
        asyncio.run(_serve(listeners, ports, bank, ready))


def make_run_folder(settings: Settings) -> None:
    """Make the private folder of the CA's socket. Raises PermissionError where it is somebody else's."""
    folder = settings.run_dir
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(13, "belongs to somebody else", str(folder))


async def _serve(listeners: list[Listener], ports: Ports, bank: Bank, ready: Callable[[], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    behind = asyncio.create_task(background.work(ports, bank, stop))
    try:
        await serve_listeners(listeners, ready=ready, stop=stop)
    finally:
        stop.set()
        await behind


def run_ca(settings: Settings, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
    """Be the CA's process of an installation; a test may give it a clock of its own."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # it ends when its parent does, and not before
    with wiring.open_authority(settings, now=now) as authority:
        process.serve(authority, settings.ca_socket)


def run_ca_apart(settings: Settings, socket_file: Path, allowed: Sequence[str]) -> None:
    """Be the CA of an installation until SIGTERM, for other users as well. Raises `NoSuchUser`."""
    try:
        uids = peer.uids(allowed)
    except LookupError as unknown:
        raise NoSuchUser(str(unknown)) from unknown
    with wiring.open_authority(settings) as authority:
        process.serve_apart(authority, socket_file.absolute(), uids)
