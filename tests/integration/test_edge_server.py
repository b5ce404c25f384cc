"""The edge's life: binding, certificates that are replaced, the end, and visitors who come in slowly or in crowds."""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
import ssl
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from tests.support.edge import (
    HOST,
    PATIENCE_S,
    Pair,
    Running,
    Visitor,
    client_context,
    free_port,
    issue,
    running,
    until,
)

from sekisho.edge import door, server
from sekisho.edge.choice import ChoiceBook
from sekisho.edge.current import CurrentContext
from sekisho.edge.server import Site, SiteTls, serve
from sekisho.edge.unusable import AddressInUse, ServerCertificateUnusable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT = b"GET /wait HTTP/1.1\r\nhost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    folder = tmp_path_factory.mktemp("edge")
    authority = issue(folder, "authority")
    names = {"old": "EC", "new": "EC", "new rsa": "RSA", "client": "EC"}
    return {"authority": authority} | {name: issue(folder, name, authority, kind=kind) for name, kind in names.items()}


@pytest.fixture
def tls(pairs: dict[str, Pair], tmp_path: Path) -> SiteTls:
    made = SiteTls(tmp_path / "site.pem", tmp_path / "site.key.pem", [pairs["authority"].der], ChoiceBook())
    put(made, pairs["old"])
    return made


@pytest.fixture
def site(tls: SiteTls) -> Iterator[Running]:
    with running(tls, look_s=0.02) as served:
        yield served


def put(tls: SiteTls, pair: Pair) -> None:
    """Replace a site's key and certificate, one file right after the other, as an ACME client does."""
    new = {file: file.with_name(f"{file.name}.new") for file in (tls.key, tls.certificate)}
    for written in new.values():
        shutil.copyfile(pair.file, written)
    for file, written in new.items():
        written.replace(file)


def server_certificate(site: Running, context: ssl.SSLContext | None = None) -> bytes:
    with Visitor(site.port, context or client_context()) as visitor:
        der: bytes = visitor.socket.getpeercert(binary_form=True)
        return der


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert not [record for record in caplog.records if record.exc_info]
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# Binding


def test_a_port_in_use_is_told_and_nothing_stays_bound() -> None:
    first, taken = free_port(), socket.create_server((HOST, 0))
    port = taken.getsockname()[1]
    sites = [Site("public", HOST, first, None, None), Site("user", HOST, port, None, None)]
    with taken, pytest.raises(AddressInUse, match=f"port {port}, where the user site listens, is in use"):
        asyncio.run(serve(sites, ready=pytest.fail, stop=asyncio.Event()))
    socket.create_server((HOST, first)).close()


def test_an_address_of_another_computer_is_told() -> None:
    sites = [Site("public", "192.0.2.1", free_port(), None, None)]
    with pytest.raises(AddressInUse, match="is not of this computer"):
        asyncio.run(serve(sites, ready=pytest.fail, stop=asyncio.Event()))


def test_two_servers_cannot_share_a_port(site: Running) -> None:
    sites = [Site("second", HOST, site.port, None, None)]
    with pytest.raises(AddressInUse):
        asyncio.run(serve(sites, ready=pytest.fail, stop=asyncio.Event()))


def test_several_sites_are_served_at_once(tls: SiteTls) -> None:
    with running(tls) as secure, running(None) as plain, plain.visit() as visitor:
        assert visitor.get("/").status == 200
        assert secure.meet()["tls"]["tls_version"] == 0x0304


def test_a_plain_site_tells_nothing_of_tls() -> None:
    with running(None) as plain, plain.visit() as visitor:
        assert visitor.learned() == {}


def test_a_server_certificate_that_cannot_be_used_is_told(tls: SiteTls, pairs: dict[str, Pair]) -> None:
    shutil.copyfile(pairs["new"].file, tls.key)
    with pytest.raises(ServerCertificateUnusable, match=r"site\.pem"):
        asyncio.run(serve([Site("user", HOST, free_port(), None, tls)], ready=pytest.fail, stop=asyncio.Event()))


# Replacing the server's certificate


@pytest.mark.parametrize("name", ["new", "new rsa"])
def test_a_server_certificate_is_replaced_without_a_restart(
    site: Running, tls: SiteTls, pairs: dict[str, Pair], name: str
) -> None:
    with site.visit() as before:
        assert before.socket.getpeercert(binary_form=True) == pairs["old"].der
        put(tls, pairs[name])
        until(lambda: server_certificate(site) == pairs[name].der)
        assert before.learned()["tls"]["client_cert_chain"] == []
    told = site.meet(pairs["client"])
    assert x509.load_pem_x509_certificate(told["tls"]["server_cert"].encode()) == pairs[name].certificate
    assert bytes.fromhex(told["sekisho.client_certificate"]) == pairs["client"].der


def test_nothing_of_the_old_certificate_stays(site: Running, tls: SiteTls, pairs: dict[str, Pair]) -> None:
    put(tls, pairs["new rsa"])
    until(lambda: server_certificate(site) == pairs["new rsa"].der)
    old_kind = client_context(version=ssl.TLSVersion.TLSv1_2)
    old_kind.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
        server_certificate(site, old_kind)


def test_a_choice_is_forgotten_after_a_replacement_too(site: Running, tls: SiteTls, pairs: dict[str, Pair]) -> None:
    put(tls, pairs["new"])
    until(lambda: server_certificate(site) == pairs["new"].der)
    site.choices.mark(pairs["client"].fingerprint)
    with pytest.raises(ssl.SSLError, match="BAD_CERTIFICATE"):
        site.meet(pairs["client"], ssl.TLSVersion.TLSv1_2)


@pytest.mark.parametrize("broken", [b"", b"-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n"])
def test_a_broken_new_certificate_leaves_the_old_and_is_told_in_one_line(
    site: Running, tls: SiteTls, pairs: dict[str, Pair], broken: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    tls.certificate.write_bytes(broken)
    until(lambda: bool(caplog.records))
    assert server_certificate(site) == pairs["old"].der
    [line] = errors(caplog)
    assert line.startswith("the new server certificate cannot be used, the old one stays")
    assert "\n" not in line
    put(tls, pairs["new"])
    until(lambda: server_certificate(site) == pairs["new"].der)
    assert len(errors(caplog)) == 1


def test_a_missing_file_leaves_the_old(
    site: Running, tls: SiteTls, pairs: dict[str, Pair], caplog: pytest.LogCaptureFixture
) -> None:
    tls.key.unlink()
    until(lambda: bool(caplog.records))
    assert server_certificate(site) == pairs["old"].der
    assert len(errors(caplog)) == 1


def test_files_are_read_when_they_have_stood_still(
    tls: SiteTls, pairs: dict[str, Pair], caplog: pytest.LogCaptureFixture
) -> None:
    current = CurrentContext(tls)
    before = current.context
    shutil.copyfile(pairs["new"].file, tls.key)
    current.look()
    shutil.copyfile(pairs["new"].file, tls.certificate)
    current.look()
    assert current.context is before
    current.look()
    assert current.context is not before
    after = current.context
    current.look()
    assert current.context is after
    assert errors(caplog) == []


# The end


def test_what_is_being_answered_is_answered_before_the_end(
    tls: SiteTls, pairs: dict[str, Pair], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(door, "_HANDSHAKE_S", 1000)
    with (
        running(tls) as site,
        site.visit(pairs["client"]) as busy,
        site.visit(pairs["client"]) as idle,
        site.visit() as unused,
        socket.create_connection((HOST, site.port)) as silent,
    ):
        idle.learned()
        busy.send(WAIT)
        assert site.reached.wait(PATIENCE_S)
        site.ask_to_stop()
        assert idle.is_let_go()
        assert unused.is_let_go()
        silent.settimeout(PATIENCE_S)
        assert silent.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, site.port), PATIENCE_S)
        site.release()
        assert busy.answer().headers["connection"] == "close"
        site.stopped()
    assert errors(caplog) == []


def test_an_answer_that_takes_too_long_is_cut_short(tls: SiteTls, caplog: pytest.LogCaptureFixture) -> None:
    with running(tls, grace_s=0.1) as site, site.visit() as visitor:
        visitor.send(WAIT)
        assert site.reached.wait(PATIENCE_S)
        site.ask_to_stop()
        assert visitor.is_let_go()
        site.stopped()
        assert site.cut_short.is_set()
    assert errors(caplog) == ["the answer to GET /wait was not finished in time"]


def test_the_end_comes_while_visitors_do_not_read(tls: SiteTls, caplog: pytest.LogCaptureFixture) -> None:
    with running(tls, grace_s=0.1) as site, site.visit() as visitor:
        visitor.send(b"GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert visitor.socket.recv(1)
        site.ask_to_stop()
        site.stopped()
    assert not [record for record in caplog.records if record.exc_info]


def test_what_ready_raises_ends_everything(tls: SiteTls) -> None:
    port = free_port()

    def ready() -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        asyncio.run(serve([Site("user", HOST, port, None, tls)], ready=ready, stop=asyncio.Event()))
    socket.create_server((HOST, port)).close()


def test_signals_stay_the_caller_s(tls: SiteTls) -> None:
    import signal

    async def check() -> None:
        stop = asyncio.Event()
        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        during: list[object] = []

        def ready() -> None:
            during.extend(signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM))
            stop.set()

        await serve([Site("user", HOST, free_port(), None, tls)], ready=ready, stop=stop)
        assert during == before

    asyncio.run(check())


# Slow visitors, and crowds


def test_a_silent_visitor_is_let_go(
    site: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(door, "_HANDSHAKE_S", 0.1)
    with socket.create_connection((HOST, site.port), PATIENCE_S) as silent:
        assert silent.recv(1) == b""
    with socket.create_connection((HOST, site.port), PATIENCE_S) as slow:
        slow.sendall(b"\x16\x03\x01\x02\x00\x01")
        assert slow.recv(1) == b""
    assert errors(caplog) == []


def test_a_visitor_who_speaks_no_tls_is_let_go(
    site: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(door, "_HANDSHAKE_S", 0.1)
    with socket.create_connection((HOST, site.port), PATIENCE_S) as astray:
        astray.sendall(WAIT)
        while astray.recv(100):
            pass
    assert errors(caplog) == []


def test_visitors_who_hang_up_at_once_leave_no_trace(site: Running, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(50):
        socket.create_connection((HOST, site.port)).close()
    site.meet()
    assert errors(caplog) == []


def test_so_many_come_in_and_the_next_when_one_has_left(tls: SiteTls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_MOST_CONNECTIONS", 2)
    with running(tls) as site:
        first, second, third = site.visit(), site.visit(), Visitor(site.port, None)
        with first, second, third:
            second.learned()
            third.socket.settimeout(0.2)
            with pytest.raises(TimeoutError):
                client_context().wrap_socket(third.socket)  # nobody answers it
            first.__exit__()
            site.meet()


def test_places_are_free_again_however_visits_end(tls: SiteTls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_MOST_CONNECTIONS", 1)
    monkeypatch.setattr(door, "_HANDSHAKE_S", 2.0)  # enough for a handshake on a busy machine
    with running(tls) as site:
        for _ in range(3):
            socket.create_connection((HOST, site.port)).close()
            with socket.create_connection((HOST, site.port), PATIENCE_S) as silent:
                assert silent.recv(1) == b""
            site.meet()


def test_connections_are_shared_out_within_what_the_system_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, limits[1]))
        monkeypatch.setattr(server, "_MOST_CONNECTIONS", 500)
        assert server._connections_for_each(6) == 500
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 6 * 500 + server._OTHER_FILES
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
