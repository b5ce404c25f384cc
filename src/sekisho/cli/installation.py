"""Set up a data folder, and serve one."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import secrets
import signal
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sekisho import background, wiring
from sekisho.ca import child, keys, peer, process
from sekisho.ca.staff_journal import StaffJournal
from sekisho.ca.token import KeyNotUsable, PinRefused, Token, TokenAway, make_key
from sekisho.cli import root_lists
from sekisho.cli.failure import FolderInUse, NoSuchUser
from sekisho.cli.staff_keys import staff_ca
from sekisho.cli.workers import supervise
from sekisho.domain.errors import CaAway
from sekisho.domain.issuing_ca import FIRST_CAS
from sekisho.edge.server import serve as serve_listeners
from sekisho.pki import hierarchy
from sekisho.pki.authority_request import NotOfThisBank, bank_of_root, check_issuing, read_request
from sekisho.pki.profile import BankName
from sekisho.settings import DataFolderDamaged
from sekisho.store import audit, banks, migrate
from sekisho.store.audit import Actor
from sekisho.usecases.follow_policy import BankInForce
from sekisho.usecases.reconcile import notice_restore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import ec
    from starlette.types import ASGIApp

    from sekisho.ca.token import TokenKey
    from sekisho.domain.contract import Bank
    from sekisho.domain.issuing_ca import IssuingCa
    from sekisho.domain.person import Kind
    from sekisho.edge.server import Site as Listener
    from sekisho.settings import Settings
    from sekisho.usecases.ports import Ports


log = logging.getLogger("sekisho")
# Reading five million certificates takes minutes.
_VERIFY_S = 3600.0


def set_up(settings: Settings, bank: Bank, root: Path | None = None) -> None:
    """Make keys, secrets and database of a new installation; the settings file comes last and makes it whole.

    With the certificate of a `root` whose key is elsewhere, the issuing CAs
    have requests for that root instead of certificates. Raises
    FileExistsError where an installation is there, whole or not: nothing is
    replaced. Raises `NotOfThisBank` where the root is another bank's.
    """
    bank_name = BankName(settings.bank, settings.organization)
    root_certificate = None if root is None else _read_root(root, bank_name)
    folder = settings.data_dir
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(17, "is not empty; nothing was changed", str(folder))
    now = datetime.now(UTC)
    make_ca(settings, root_certificate)
    staff_ca(settings)
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


def make_ca(settings: Settings, root: x509.Certificate | None = None) -> None:
    """Make the CA's keys with certificates, or with requests for a root whose key is elsewhere."""
    bank = BankName(settings.bank, settings.organization)
    with _issuing_keys(settings, FIRST_CAS) as in_token:
        issuing_keys = None if in_token is None else {ca.kind: key for ca, key in in_token.items()}
        if root is None:
            made = hierarchy.make(
                bank,
                pki_url=settings.sites["pki"].url,
                now=datetime.now(UTC),
                entropy=secrets.token_bytes,
                issuing_keys=issuing_keys,
            )
            keys.save(settings.ca_dir, made)
            root_lists.write_first(settings, made.root)
        else:
            keys.save_waiting(settings.ca_dir, bank, root, issuing_keys)
    passphrase = wiring.ca_passphrase(settings)
    if passphrase is not None:
        keys.encrypt(settings.ca_dir, passphrase)


def _read_root(file: Path, bank: BankName) -> x509.Certificate:
    try:
        root = x509.load_pem_x509_certificate(file.read_bytes())
    except ValueError as unreadable:
        raise NotOfThisBank(f"{file} is no certificate") from unreadable
    if bank_of_root(root) != bank:
        raise NotOfThisBank(f"{file} is the root of {bank_of_root(root)}, and this is {bank}")
    return root


def install_certificates(settings: Settings, files: Sequence[Path]) -> list[Path]:
    """Put certificates that the root signed where the CA finds them, all or none; return where.

    Raises `NotOfThisBank` where one is not what was requested.
    """
    bank = BankName(settings.bank, settings.organization)
    root = keys.load_certificate(settings.ca_dir, "root")
    wanted = {
        request: read_request(request.read_bytes(), bank) for request in sorted(settings.ca_dir.glob("*.csr.pem"))
    }
    found: dict[Path, bytes] = {}
    for file in files:
        try:
            certificate = x509.load_pem_x509_certificate(file.read_bytes())
        except ValueError as unreadable:
            raise NotOfThisBank(f"{file} is no certificate") from unreadable
        fitting = [(request, *asked) for request, asked in wanted.items() if asked[1] == certificate.public_key()]
        if not fitting:
            raise NotOfThisBank(f"{file}: nothing that waits here has its key")
        request, ca, key = fitting[0]
        try:
            check_issuing(
                certificate, bank, ca, key, root=root, pki_url=settings.sites["pki"].url, now=datetime.now(UTC)
            )
        except NotOfThisBank as other:
            raise NotOfThisBank(f"{file}: {other}") from other
        found[request] = certificate.public_bytes(Encoding.PEM)
    return [keys.install(request, content) for request, content in found.items()]


def rotate(settings: Settings, kinds: Sequence[Kind]) -> list[Path]:
    """Prepare the next issuing CA of each kind and return what was written: certificates, or requests for the root.

    The CA takes certificates when it starts next. A run that was cut short
    is run again, and goes on with the keys that it left. Raises
    FileExistsError where an issuing CA waits already, and `DataFolderDamaged`.
    """
    bank, folder = BankName(settings.bank, settings.organization), settings.ca_dir
    passphrase = wiring.ca_passphrase(settings)
    try:
        keys.check_installed(folder)
        cas = keys.next_generations(folder, kinds)
    except ValueError as unusable:
        raise DataFolderDamaged(f"the keys in {folder} cannot be used: {unusable}") from unusable
    root = root_lists.root_at_hand(settings)
    if root is not None:
        root_lists.write_first(settings, root)  # what is certified now names where it is
    written = []
    with _issuing_keys(settings, cas) as in_token:
        try:
            made: Mapping[IssuingCa, ec.EllipticCurvePrivateKey]
            made = in_token if in_token is not None else {ca: keys.prepare(folder, ca, passphrase) for ca in cas}
        except ValueError as unusable:
            raise DataFolderDamaged(f"the keys in {folder} cannot be used: {unusable}") from unusable
        for ca, key in made.items():
            if root is None:
                written.append(keys.prepare_request(folder, bank, ca, key))
                continue
            issuing = hierarchy.certify_issuing(
                root,
                bank,
                ca.kind,
                key.public_key(),
                pki_url=settings.sites["pki"].url,
                now=datetime.now(UTC),
                entropy=secrets.token_bytes,
                generation=ca.generation,
            )
            written.append(keys.prepare_certificate(folder, ca, issuing))
    return written


@contextmanager
def _issuing_keys(settings: Settings, cas: Sequence[IssuingCa]) -> Iterator[dict[IssuingCa, TokenKey] | None]:
    """Make the issuing CAs' keys in the token that the settings name, or none. Raises `DataFolderDamaged`."""
    if settings.ca.token is None:
        yield None
        return
    spec = wiring.token_spec(settings.ca.token, settings.read_secret(settings.ca.token.pin_file))
    try:
        made = {ca: make_key(spec, f"sekisho {settings.bank} {ca.kind.value} {ca.generation}") for ca in cas}
        token = Token(spec, list(made.values()))
    except (TokenAway, PinRefused, KeyNotUsable) as unusable:
        raise DataFolderDamaged(f"the token {spec.label} cannot be used: {unusable}") from unusable
    try:
        yield {ca: token.key(public) for ca, public in made.items()}
    finally:
        token.close()


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
            wiring.take_prepared(settings)  # not by a CA that is started anew later: all of Sekisho takes it together
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
                sites = wiring.build_sites(settings, ports, in_force)
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
    StaffJournal(settings.staff_ca_dir, lambda: wiring.ca_passphrase(settings)).verify()
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
    wiring.take_prepared(settings)
    with wiring.open_authority(settings) as authority:
        process.serve_apart(authority, socket_file.absolute(), uids)
