"""Many visitors at once: users of one contract, each with a permit, on a computer with an address of its own."""

from __future__ import annotations

import base64
import hashlib
import secrets
import string
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs7
from tests.support.person import Page
from tests.support.world import CheapPins, csr_der

from sekisho import settings as settings_module
from sekisho import wiring
from sekisho.settings import DATABASE_URL
from sekisho.store.audit import Actor
from sekisho.usecases.put_contracts import NewPerson
from sekisho.usecases.register_contract import register_contract
from sekisho.web import cookies

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.support.served import Served

    from sekisho.usecases.ports import Db, Ports

PIN, CONFIRMATION = "taisei1a", "taisei2b"
# A visitor who has heard nothing for so long has been left hanging.
DEADLINE_S = 45
_TOKEN = 32


@dataclass(frozen=True)
class Answer:
    """What a visitor was told: the published code, or "" where it was done."""

    status: int
    code: str
    headers: httpx.Headers


@dataclass
class Visitor:
    """One user; `acknowledged` are the certificates, `tokens` the sessions, that a site said they have."""

    served: Served
    contract_id: str
    user_id: str
    address: str
    folder: Path
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    acknowledged: list[bytes] = field(default_factory=list)
    tokens: list[bytes] = field(default_factory=list)
    clients: list[httpx.Client] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)

    def client(self, site: str) -> httpx.Client:
        person = None
        if site != "public":
            person = {"certificate": str(self._file("pem")), "key": str(self._file("key.pem"))}
        # Every computer has another of the loopback network's addresses: of one address, one is asked at a time.
        transport = httpx.HTTPTransport(verify=self.served.context(person), local_address=self.address)
        url = self.served.info["urls"][site].replace("localhost", "127.0.0.1")
        self.clients.append(httpx.Client(base_url=url, transport=transport, timeout=DEADLINE_S))
        return self.clients[-1]

    def acquire(self, client: httpx.Client | None = None) -> Answer:
        """Ask for the certificate of this computer's key, as any EST client does."""
        client = client or self.client("public")
        answer = client.post(
            f"/.well-known/est/{self.served.info['bank']['code']}/simpleenroll",
            content=base64.encodebytes(csr_der(self.key)),
            headers={"content-type": "application/pkcs10"},
            auth=(f"{self.contract_id}/{self.user_id}", f"{PIN}:{CONFIRMATION}"),
        )
        self._note_port("acquire", answer)
        if answer.status_code == httpx.codes.OK:
            (certificate,) = pkcs7.load_der_pkcs7_certificates(base64.b64decode(answer.content))
            self.acknowledged.append(certificate.public_bytes(Encoding.DER))
            self._file("pem").write_bytes(certificate.public_bytes(Encoding.PEM))
            pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            self._file("key.pem").write_bytes(pem)
        return Answer(answer.status_code, answer.headers.get("x-sekisho-code", ""), answer.headers)

    def log_on(self, client: httpx.Client | None = None, pin: str = PIN) -> Answer:
        """Enter the PIN behind the certificate; a session that is opened is kept."""
        client = client or self.client("user")
        form = client.get("/")
        page = Page(form.status_code, "/", form.text, form.headers)
        if form.status_code != httpx.codes.OK:
            return Answer(form.status_code, page.outcome or "", form.headers)
        answer = client.post("/", data={**page.hidden, "pin": pin})
        self._note_port("log on", answer)
        token = cookies.read_token(client.cookies.get(cookies.session_name("user")), _TOKEN)
        if answer.headers.get("location") == "/status" and token is not None:
            self.tokens.append(token)
            return Answer(answer.status_code, "", answer.headers)
        page = Page(answer.status_code, "/", answer.text, answer.headers)
        refused = httpx.URL(answer.headers.get("location", "")).params.get("refused", "")
        return Answer(answer.status_code, page.outcome or refused, answer.headers)

    def status(self, client: httpx.Client) -> Answer:
        """Look at the status page, logged on or not."""
        answer = client.get("/status")
        if answer.status_code == httpx.codes.OK:
            return Answer(answer.status_code, "", answer.headers)
        page = Page(answer.status_code, "/status", answer.text, answer.headers)
        refused = httpx.URL(answer.headers.get("location", "")).params.get("refused", "")
        return Answer(answer.status_code, page.outcome or refused, answer.headers)

    def close(self) -> None:
        while self.clients:
            self.clients.pop().close()

    def _file(self, ending: str) -> Path:
        return self.folder / f"{self.contract_id}-{self.user_id}.{ending}"

    def _note_port(self, act: str, answer: httpx.Response) -> None:
        self.ports[act] = answer.extensions["network_stream"].get_extra_info("client_addr")[1]


def opened(served: Served) -> AbstractContextManager[Ports]:
    """Open the database of a served installation beside its server."""
    here = settings_module.load(served.data_dir)
    return wiring.open_ports(here.model_copy(update={"database_url": served.env.get(DATABASE_URL)}))


def register(served: Served, folder: Path, count: int) -> list[Visitor]:
    """Register one more company with so many users."""
    contract_id = "".join(secrets.choice(string.digits) for _ in range(11))
    names = [f"user{number:03d}" for number in range(count)]
    with opened(served) as ports:
        pepper: Any = ports.pins
        cheap = replace(ports, pins=CheapPins(pepper._pepper))
        register_contract(
            cheap,
            bank=wiring.load_bank(settings_module.load(served.data_dir), ports),
            contract_id=contract_id,
            name="大勢商事株式会社",
            everyone=[NewPerson(name, name or "管理者", None, "ja", PIN, CONFIRMATION) for name in (None, *names)],
            actor=Actor("test"),
        )
    return [
        Visitor(served, contract_id, name, f"127.1.{number // 250}.{number % 250 + 1}", folder)
        for number, name in enumerate(names)
    ]


def missing(db: Db, visitors: list[Visitor]) -> Iterator[str]:
    """Yield what visitors were told that they have, and the database does not know."""
    with db.read() as tx:
        ders = {bytes(row[0]) for row in tx.exec_driver_sql("SELECT der FROM certificate_bytes")}
        tokens = {bytes(row[0]) for row in tx.exec_driver_sql("SELECT token_sha256 FROM sessions")}
    for visitor in visitors:
        for der in visitor.acknowledged:
            if der not in ders:
                yield f"the certificate of {visitor.user_id}"
        for token in visitor.tokens:
            if hashlib.sha256(token).digest() not in tokens:
                yield f"a session of {visitor.user_id}"
