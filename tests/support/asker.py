"""Asks about certificates as relying parties do, of the pki site's application itself."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from sekisho.va.responder import Responder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.world import World

    from sekisho.domain.person import Kind
    from sekisho.usecases.ports import Ports


def question(
    issuer: x509.Certificate, serial: int, *, digest: hashes.HashAlgorithm | None = None, nonce: bytes | None = None
) -> bytes:
    """Return an OCSPRequest about the certificate with that serial number."""
    algorithm = digest or hashes.SHA1()  # noqa: S303 - what clients use
    name = hashes.Hash(algorithm)
    name.update(issuer.subject.public_bytes())
    key_hash = ocsp.OCSPRequestBuilder().add_certificate(issuer, issuer, algorithm).build().issuer_key_hash
    named = ocsp.OCSPRequestBuilder().add_certificate_by_hash(name.finalize(), key_hash, serial, algorithm)
    if nonce is not None:
        named = named.add_extension(x509.OCSPNonce(nonce), critical=False)
    return named.build().public_bytes(Encoding.DER)


@dataclass
class Reply:
    """What came back over HTTP."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def response(self) -> ocsp.OCSPResponse:
        return ocsp.load_der_ocsp_response(self.body)


@dataclass
class Site:
    """One process's pki site, in one event loop of its own. `clock` is the responder's, in seconds."""

    bank: World
    ports: Ports | None = None
    clock: list[float] = field(default_factory=lambda: [1000.0])

    def __post_init__(self) -> None:
        issuing = {ca: pair.certificate.public_bytes(Encoding.DER) for ca, pair in self.bank.cas.items()}
        self.responder = Responder(self.ports or self.bank.ports, self.bank.bank, issuing, clock=lambda: self.clock[0])
        self.loop = asyncio.new_event_loop()

    def close(self) -> None:
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    def ask(self, kind: Kind, serial: int, **how: Any) -> Reply:
        return self.post(question(self.bank.made.issuing[kind].certificate, serial, **how))

    def post(self, body: bytes) -> Reply:
        return self.all([("POST", "/ocsp", {}, body)])[0]

    def get(self, body: bytes, **headers: str) -> Reply:
        return self.all([("GET", "/ocsp/" + quote(base64.b64encode(body).decode(), safe=""), headers, b"")])[0]

    def all(self, requests: Sequence[tuple[str, str, dict[str, str], bytes]]) -> list[Reply]:
        """Send requests at once."""

        async def send_all() -> list[Reply]:
            return list(await asyncio.gather(*(self._send(*one) for one in requests)))

        return self.loop.run_until_complete(asyncio.wait_for(send_all(), 60))

    async def _send(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        from urllib.parse import unquote

        sent: list[Any] = []
        chunks = [body[at : at + 1000] for at in range(0, len(body), 1000)] or [b""]

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}

        async def send(message: Any) -> None:
            sent.append(message)

        named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "method": method, "path": unquote(path), "headers": named}
        await self.responder(scope, receive, send)
        start, rest = sent
        got = {name.decode(): value.decode() for name, value in start["headers"]}
        return Reply(start["status"], got, rest["body"])
