"""A bank of the bench's own, served in a process of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import socket
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from sekisho import wiring
from sekisho.bench.load import Caller
from sekisho.ca import child
from sekisho.cli import demo, installation
from sekisho.domain.certificate import KeyHeld
from sekisho.edge.server import Site
from sekisho.edge.server import serve as serve_listeners
from sekisho.pki.csr import Csr
from sekisho.store.audit import Actor
from sekisho.usecases.acquire_certificate import Claim, acquire_certificate
from sekisho.usecases.register_contract import NewPerson, register_contract

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.synchronize import Event
    from pathlib import Path

    from starlette.types import Receive, Scope, Send

    from sekisho.domain.contract import Bank
    from sekisho.settings import Settings
    from sekisho.usecases.ports import Ports

CONTRACT = "00000000001"
PIN = "bench1aa"
_CONFIRMATION = "bench2bb"
_READY_S = 60


@dataclass(frozen=True, slots=True)
class Stage:
    """A served bank, its callers at the users' site, and the same callers at a site that only shakes hands."""

    settings: Settings
    users: list[Caller]
    bare: list[Caller]


@contextmanager
def stage(folder: Path, callers: int) -> Iterator[Stage]:
    """Set a bank with so many users up, each with a certificate, and serve it while the block lasts."""
    base = _free_ports(11)
    settings = demo.prepare_folder(folder / "bank", base)
    tls_ca = demo.make_server_certificate(settings)
    with installation.held(settings.data_dir), wiring.open_ports(settings) as ports:
        installation.make_run_folder(settings)
        with child.running(child.command(settings.data_dir)):
            users = _users(folder, settings, ports, wiring.load_bank(settings, ports), callers, tls_ca)
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Event()
    server = spawn.Process(target=_serve, args=(settings, base + 10, ready))
    server.start()
    try:
        if not ready.wait(_READY_S):
            raise RuntimeError("the bench's server did not start")
        yield Stage(settings, users, [replace(user, port=base + 10) for user in users])
    finally:
        if server.pid is not None and server.is_alive():
            os.kill(server.pid, signal.SIGTERM)
        server.join()


def _users(folder: Path, settings: Settings, ports: Ports, bank: Bank, count: int, tls_ca: Path) -> list[Caller]:
    names = [f"user{n:03}" for n in range(count)]
    everyone = [NewPerson(name, name, None, "en", PIN, _CONFIRMATION) for name in names]
    everyone.append(NewPerson(None, "administrator", None, "en", PIN, _CONFIRMATION))
    register_contract(ports, bank=bank, contract_id=CONTRACT, name="Bench", everyone=everyone, actor=Actor("bench"))
    callers = []
    for name in names:
        key = ec.generate_private_key(ec.SECP256R1())
        spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        claim = Claim(CONTRACT, name, PIN, _CONFIRMATION)
        certificate = acquire_certificate(
            ports, bank=bank, claim=claim, csr=Csr(spki), held=KeyHeld.FILE, address="127.0.0.1"
        )
        pem = x509.load_der_x509_certificate(certificate.der).public_bytes(Encoding.PEM)
        (folder / f"{name}.pem").write_bytes(pem)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / f"{name}.key.pem").write_bytes(private)
        port = settings.sites["user"].port
        callers.append(Caller(port, tls_ca, folder / f"{name}.pem", folder / f"{name}.key.pem", PIN))
    return callers


def _serve(settings: Settings, bare_port: int, ready: Event) -> None:
    """Serve the bank, and beside it a site that answers without looking."""
    with wiring.open_ports(settings) as ports, child.running(child.command(settings.data_dir)):
        listeners = wiring.build_sites(settings, ports)
        user = next(site for site in listeners if site.name == "user")
        bare = Site("bare", user.host, bare_port, _bare, user.tls)
        asyncio.run(_until_terminated([*listeners, bare], ready))


async def _until_terminated(listeners: list[Site], ready: Event) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await serve_listeners(listeners, ready=ready.set, stop=stop)


async def _bare(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def _free_ports(count: int) -> int:
    """Return the first of so many ports in a row that are free now."""
    for base in range(21_000, 32_000, 100):
        sockets: list[socket.socket] = []
        try:
            for port in range(base, base + count):
                sockets.append(socket.socket())
                sockets[-1].bind(("127.0.0.1", port))
        except OSError:
            continue
        else:
            return base
        finally:
            for one in sockets:
                one.close()
    raise RuntimeError("no free ports")
