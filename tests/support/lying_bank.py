"""A server like a bank's public site that answers what a test tells it, or hands on to a real one; and a proxy."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from tests.browser.support.site import Authority

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.served import Served


@dataclass
class Said:
    """An answer. `drip` sends the body a byte at a time and never ends; `hang_up` sends nothing."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    drip: bool = False
    hang_up: bool = False


Lie = "Callable[[str, bytes], Said | None]"


class LyingBank:
    """Answers with `lie(path, body)`; where that is None, as the real bank does."""

    def __init__(self, folder: Path, real: Served, *, named: bool = True) -> None:
        self.authority = Authority(folder, "Server CA")
        self.ca = folder / "ca.pem"
        issued = self.authority.issue("localhost", server=named)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(issued.certificate, issued.key)
        self._real = httpx.Client(
            base_url=real.info["urls"]["public"], verify=real.context(), timeout=60, headers={"accept-language": "en"}
        )
        self.lie: Callable[[str, bytes], Said | None] = lambda _path, _body: None
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.stopping = threading.Event()
        bank = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                bank.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                said = bank.lie(self.path, body) or bank.truth(self.command, self.path, dict(self.headers), body)
                if said.hang_up:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                    return
                self.send_response_only(said.status)
                length = 1 << 20 if said.drip else len(said.body)
                for name, value in ({"content-length": str(length)} | said.headers).items():
                    self.send_header(name, value)
                self.send_header("connection", "close")
                self.end_headers()
                if said.drip:
                    while not bank.stopping.wait(0.05):
                        self.wfile.write(b".")
                        self.wfile.flush()
                    return
                self.wfile.write(said.body)

            do_GET = do_POST = answer  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            def finish_request(self, request: Any, client_address: Any) -> None:
                request.settimeout(20)
                with contextlib.suppress(OSError), bank._context.wrap_socket(request, server_side=True) as tls:
                    super().finish_request(tls, client_address)

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self.url = f"https://localhost:{self._server.server_port}"

    def truth(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Said:
        kept = {k: v for k, v in headers.items() if k.lower() not in {"host", "connection", "content-length"}}
        told = self._real.request(method, path, headers=kept, content=body)
        shown = {
            k: v for k, v in told.headers.items() if k not in {"content-length", "connection", "transfer-encoding"}
        }
        return Said(told.status_code, shown, told.content)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._real.close()


def certificates(*pems: bytes) -> Said:
    """Answer with certificates, as EST does."""
    der = pkcs7.serialize_certificates([x509.load_pem_x509_certificate(pem) for pem in pems], Encoding.DER)
    return Said(body=base64.encodebytes(der), headers={"content-type": "application/pkcs7-mime"})


def as_json(value: object) -> Said:
    return Said(body=json.dumps(value).encode(), headers={"content-type": "application/json"})


class Proxy:
    """A small HTTP proxy that tunnels (CONNECT) for whoever knows its name and password; with `tls` behind TLS."""

    def __init__(self, folder: Path, name: str = "taro", password: str = "p@ss:word", *, tls: bool = False) -> None:
        self._tls = None
        self.ca = folder / "proxy/ca.pem"
        if tls:
            issued = Authority(folder / "proxy", "Proxy CA").issue("localhost", server=True)
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(issued.certificate, issued.key)
        self._expected = "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.tunnels: list[str] = []
        self.refused = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._tunnel, args=(client,), daemon=True).start()

    def _tunnel(self, raw: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            raw if self._tls is None else self._tls.wrap_socket(raw, server_side=True) as client,
        ):
            client.settimeout(20)
            head = b""
            while b"\r\n\r\n" not in head:
                more = client.recv(4096)
                if not more:
                    return
                head += more
            lines = head.decode("latin-1").split("\r\n")
            method, target, _ = lines[0].split()
            headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:] if ": " in line)}
            if method != "CONNECT" or headers.get("proxy-authorization") != self._expected:
                self.refused += 1
                client.sendall(
                    b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                    b'proxy-authenticate: Basic realm="company"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n'
                )
                return
            host, _, port = target.rpartition(":")
            with socket.create_connection((host, int(port)), 20) as server:
                self.tunnels.append(target)
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                one_way = threading.Thread(target=_pump, args=(client, server), daemon=True)
                one_way.start()
                _pump(server, client)
                one_way.join(20)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
