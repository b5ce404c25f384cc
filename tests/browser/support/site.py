"""A TLS site on loopback that says whose certificate it saw, and the CA of its visitors and of itself."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Issued:
    """The PEM files of a certificate and its key."""

    certificate: Path
    key: Path


class Authority:
    """A CA that writes what it issues into `folder`; its own certificate is `folder/ca.pem`."""

    def __init__(self, folder: Path, common_name: str = "Test CA") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        self.certificate = folder / "ca.pem"
        itself = self._builder(self._name, self._key, ca=True).sign(self._key, hashes.SHA256())
        self.certificate.write_bytes(itself.public_bytes(serialization.Encoding.PEM))

    def _builder(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, *, ca: bool = False
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )

    def issue(self, common_name: str, *, server: bool = False) -> Issued:
        """Issue a certificate for a person, or for a server named localhost and 127.0.0.1."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        names: list[x509.GeneralName] = [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
        builder = self._builder(name, key).add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if server:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        serial = f"{certificate.serial_number:x}"
        issued = Issued(self._folder / f"{serial}.pem", self._folder / f"{serial}.key.pem")
        issued.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        issued.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return issued


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    site: Site

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._open: set[ssl.SSLSocket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        request.settimeout(10)
        with contextlib.suppress(OSError), self.site.context.wrap_socket(request, server_side=True) as tls:
            with self._guard:
                self._open.add(tls)
            try:
                super().finish_request(tls, client_address)
            finally:
                with self._guard:
                    self._open.discard(tls)

    def hang_up(self) -> None:
        """End what is still open: a browser connects in advance, and then its request may never come."""
        with self._guard:
            for tls in self._open:
                with contextlib.suppress(OSError):
                    tls.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        assert isinstance(self.connection, ssl.SSLSocket)
        subject = (self.connection.getpeercert() or {}).get("subject", ())
        seen = [value for pairs in subject for name, value in pairs if name == "commonName"]  # type: ignore[str-unpack]  # typeshed's view of getpeercert
        body = self.server.site.document.replace("SEEN", seen[0] if seen else "nobody").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Security-Policy", "default-src 'none'; connect-src 'self'")
        self.send_header("Content-Length", str(len(body)))
        # Each request gets a connection, and so a handshake, of its own.
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent: tests look at pages."""


DOCUMENT = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Test site</title></head>
<body><main><h1>Test site</h1><p role="status">SEEN</p></main></body></html>
"""


class Site:
    """The site at `url`; every page is `document` with the visitor's common name in the place of SEEN."""

    def __init__(self, authority: Authority) -> None:
        self._issued = authority.issue("localhost", server=True)
        self._open = self._context(authority.certificate, ssl.CERT_OPTIONAL)
        self._shut = self._context(self._issued.certificate, ssl.CERT_REQUIRED)
        self.context = self._open
        self.document = DOCUMENT
        self._server = _Server()
        self._server.site = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self.url = f"https://localhost:{self._server.server_port}"

    def _context(self, trusted: Path, mode: ssl.VerifyMode) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._issued.certificate, self._issued.key)
        context.load_verify_locations(trusted)
        context.verify_mode = mode
        return context

    def refuse(self, *, handshakes: bool) -> None:
        """Refuse every handshake, with a certificate or without one; or admit them again."""
        self.context = self._shut if handshakes else self._open

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()
