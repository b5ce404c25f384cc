"""A bank in memory of one test: real database, real CA keys, real argon2; only clock and faults are ours."""

from __future__ import annotations

import base64
import os
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from cryptography.x509.oid import NameOID
from tests.support.postgres import shared_cluster

from sekisho.ca.authority import Authority
from sekisho.ca.journal import Journal
from sekisho.ca.signer import Signer
from sekisho.domain import card
from sekisho.domain.certificate import KeyHeld
from sekisho.domain.contract import Bank
from sekisho.domain.issuing_ca import IssuingCa
from sekisho.domain.person import Kind, PersonId
from sekisho.domain.policy import Policy
from sekisho.domain.second_step import SecondStep
from sekisho.pki import hierarchy
from sekisho.pki.csr import Csr, read_csr
from sekisho.pki.profile import BankName
from sekisho.store import banks, migrate
from sekisho.store.audit import Actor
from sekisho.store.postgresql import PostgresDatabase, read_url
from sekisho.store.sqlite import SqliteDatabase
from sekisho.usecases.acquire_certificate import Claim, acquire_certificate
from sekisho.usecases.log_on import answer_card, enter_pin
from sekisho.usecases.ports import Ports
from sekisho.usecases.put_contracts import NewPerson
from sekisho.usecases.register_contract import register_contract
from sekisho.usecases.renew_certificate import renew_certificate
from sekisho.usecases.resume_session import LoggedOn, resume_session
from sekisho.usecases.second_step import answer_totp
from sekisho.vault.pins import PinHasher
from sekisho.vault.seal import CardSeal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage
    from pathlib import Path

    from sqlalchemy import Connection
    from tests.support.postgres import Cluster

    from sekisho.domain.certificate import IssuedCertificate
    from sekisho.store.database import Database

BANK = Bank(
    code="9990",
    name={"ja": "見本信用金庫", "en": "Mihon Shinkin Bank"},
    service_name={"ja": "みほんビジネスバンキング", "en": "Mihon Business Banking"},
    help_desk_phone="0120-000-000",
    help_desk_hours={"ja": "平日 9:00〜17:00", "en": "Weekdays 9:00 to 17:00"},
    policy=Policy(way_browser=True),
)
CONTRACT = "12345678901"
ADDRESS = "192.0.2.7"
PKI_URL = "http://pki.example.com"
ADMINISTRATOR = PersonId("9990", CONTRACT)
KEIRI01 = PersonId("9990", CONTRACT, "keiri01")
KEIRI02 = PersonId("9990", CONTRACT, "keiri02")
PINS = {
    ADMINISTRATOR: ("kanri1aa", "kanri2bb"),
    KEIRI01: ("keiri1aa", "keiri2bb"),
    KEIRI02: ("keiri3cc", "keiri4dd"),
}
CARD = {str(position): str(position % 10) for position in range(1, card.POSITIONS + 1)}


class CheapPins(PinHasher):
    """The same hashing with the least of memory and passes, for tests that check thousands of entries."""

    def __init__(self, pepper: bytes) -> None:
        super().__init__(pepper)
        from argon2 import PasswordHasher

        self._argon2 = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        self._nobody = self._argon2.hash(b"nobody")
        self.checks = 0

    def verify(self, verifier: str | None, entry: str) -> bool:
        self.checks += 1
        return super().verify(verifier, entry)


@dataclass
class Mailbox:
    """Takes mails and keeps them by key."""

    mails: dict[str, EmailMessage] = field(default_factory=dict)
    sender: str = "no-reply@mihon.example"

    @contextmanager
    def line(self) -> Iterator[Mailbox]:
        yield self

    def send(self, message: EmailMessage, key: str) -> str:
        self.mails[key] = message
        return "250 kept"


@dataclass
class World:
    """One bank with one contract; `clock` is what its `now()` says."""

    ports: Ports
    db: Database
    made: hierarchy.Hierarchy
    mailbox: Mailbox
    clock: list[datetime]
    bank: Bank = BANK
    later_cas: dict[IssuingCa, hierarchy.KeyAndCertificate] = field(default_factory=dict)
    card: dict[str, str] = field(default_factory=lambda: dict(CARD))
    # The secret of the administrator's app, where they have one: it is asked first.
    app: str = ""

    @property
    def cas(self) -> dict[IssuingCa, hierarchy.KeyAndCertificate]:
        """The issuing CAs of all generations."""
        return self.made.cas | self.later_cas

    def rotate(self, kind: Kind = Kind.USER) -> IssuingCa:
        """Put a newer issuing CA beside that of the kind, as a start after `sekisho ca rotate` does."""
        ca = IssuingCa(kind, max(one.generation for one in self.cas if one.kind is kind) + 1)
        key = ec.generate_private_key(ec.SECP256R1())
        name = BankName(self.bank.code, self.bank.name["en"])
        certificate = hierarchy.certify_issuing(
            self.made.root,
            name,
            kind,
            key.public_key(),
            pki_url=PKI_URL,
            now=self.clock[0],
            entropy=os.urandom,
            generation=ca.generation,
        )
        self.later_cas[ca] = hierarchy.KeyAndCertificate(key, certificate)
        signer = Signer(name, self.cas, PKI_URL, now=lambda: self.clock[0])
        self.ports = replace(self.ports, cas={self.bank.code: signer})
        self.bank = replace(self.bank, policy=replace(self.bank.policy, issuing_cas=tuple(self.cas)))
        return ca

    def later(self, **by: float) -> datetime:
        self.clock[0] += timedelta(**by)
        return self.clock[0]

    def acquire(
        self, who: PersonId = KEIRI01, csr: Csr | None = None, *, held: KeyHeld = KeyHeld.FILE, **changed: Any
    ) -> IssuedCertificate:
        pin, confirmation_pin = PINS[who]
        claim = replace(Claim(who.contract_id, who.user_id, pin, confirmation_pin), **changed)
        return acquire_certificate(
            self.ports, bank=self.bank, claim=claim, csr=csr or new_csr(), held=held, address=ADDRESS
        )

    def log_on(self, certificate: IssuedCertificate, pin: str | None = None) -> bytes:
        who = certificate.person
        if self.app and who.user_id is None:
            self.later(seconds=60)  # each code is taken once
        opened = enter_pin(
            self.ports, bank=BANK, kind=who.kind, der=certificate.der, pin=pin or PINS[who][0], address=ADDRESS
        )
        if not opened.positions:
            return opened.token
        current = self.resume(certificate, opened.token)
        if self.app and opened.step is SecondStep.TOTP:
            code = code_now(self.app, self.clock[0])
            return answer_totp(self.ports, bank=BANK, current=current, code=code, address=ADDRESS).token
        digits = [self.card[str(position)] for position in opened.positions]
        return answer_card(
            self.ports,
            bank=BANK,
            certificate=current.certificate,
            session=current.session,
            digits=digits,
            address=ADDRESS,
        ).token

    def renew(
        self,
        held: IssuedCertificate,
        csr: Csr | None = None,
        *,
        pin: str | None = None,
        at: Bank = BANK,
        **named: str | None,
    ) -> IssuedCertificate:
        """Renew a certificate; a `user_id` other than its own may be named."""
        who = held.person
        return renew_certificate(
            self.ports,
            bank=at,
            kind=held.kind,
            der=held.der,
            named=(who.contract_id, named.get("user_id", who.user_id)),
            pin=pin or PINS[who][0],
            csr=csr or new_csr(),
            held=KeyHeld.FILE,
            address=ADDRESS,
        )

    def resume(self, certificate: IssuedCertificate, token: bytes | None) -> LoggedOn:
        return resume_session(self.ports, bank=BANK, kind=certificate.kind, der=certificate.der, token=token)

    def change(self, *sql: str) -> None:
        """Change what no use case changes."""

        def run(tx: Connection) -> None:
            for one in sql:
                tx.exec_driver_sql(one)

        self.db.write(run)

    def change_unguarded(self, *sql: str) -> None:
        """Change even what the database itself protects."""
        if isinstance(self.db, SqliteDatabase):
            guards = [row.name for row in self.rows("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
            self.change(*(f"DROP TRIGGER {name}" for name in guards), *sql)
        else:
            self.change("SET LOCAL session_replication_role = replica", *sql)

    def rows(self, sql: str, **values: object) -> list[Any]:
        from sqlalchemy import text

        with self.db.read() as tx:
            return list(tx.execute(text(sql), values))


def code_now(secret: str, now: datetime) -> str:
    """Return what an authenticator app shows (RFC 6238)."""
    device = TOTP(base64.b32decode(secret), 6, SHA1(), 30)  # noqa: S303 - what apps do
    return device.generate(now.timestamp()).decode()


@contextmanager
def journaled(bank: World, folder: Path) -> Iterator[None]:
    """Give a bank's CA a journal while the block lasts."""
    journal = Journal(folder, b"k" * 32)
    code = bank.bank.code
    signer: Any = bank.ports.cas[code]
    authority = Authority(signer, journal, now=lambda: bank.clock[0])
    bank.ports = replace(bank.ports, cas={code: authority}, records={code: authority})
    try:
        yield
    finally:
        journal.close()


@contextmanager
def new_store(folder: Path, engine: str) -> Iterator[Database]:
    """Open an empty database of today's tables: "sqlite" in the folder, or "postgresql" in the shared cluster."""
    if engine == "sqlite":
        db: Database = SqliteDatabase(folder / "sekisho.db")
        migrate.upgrade(db)
        try:
            yield db
        finally:
            db.close()
        return
    cluster = shared_cluster()
    name = cluster.new_database(_template(cluster))
    db = PostgresDatabase(read_url(cluster.url(name)))
    try:
        yield db
    finally:
        db.close()
        cluster.drop_database(name)


@cache
def _template(cluster: Cluster) -> str:
    name = cluster.new_database()
    db = PostgresDatabase(read_url(cluster.url(name)))
    try:
        migrate.upgrade(db)
    finally:
        db.close()
    return name


@contextmanager
def world(
    folder: Path, engine: str = "sqlite", *, permitted: bool = True, bank: Bank = BANK, pki_url: str = PKI_URL
) -> Iterator[World]:
    """Open a bank with an administrator and two users, who may all acquire.

    In a folder whose SQLite database another bank lives in, it becomes that one's neighbour.
    """
    with new_store(folder, engine) as db:
        clock = [datetime(2026, 11, 24, 3, 0, 0, tzinfo=UTC)]
        db.write(lambda tx: banks.add(tx, bank, clock[0]))
        bank_name = BankName(bank.code, bank.name["en"])
        made = hierarchy.make(bank_name, pki_url=pki_url, now=clock[0], entropy=os.urandom)
        mailbox = Mailbox()
        ports = Ports(
            db=db,
            cas={bank.code: Signer(bank_name, made.cas, pki_url, now=lambda: clock[0])},
            mail=mailbox,
            pins=CheapPins(b"p" * 32),
            seal=CardSeal(b"c" * 32),
            now=lambda: clock[0],
            entropy=os.urandom,
        )
        register_contract(
            ports,
            bank=bank,
            contract_id=CONTRACT,
            name="見本商事株式会社",
            everyone=[
                NewPerson(
                    who.user_id,
                    who.user_id or "管理者",
                    f"{who.user_id or 'kanri'}@example.com",
                    "ja",
                    *pins,
                    card=CARD if who.user_id is None else None,
                    permitted=permitted,
                )
                for who, pins in PINS.items()
            ],
            actor=Actor("test"),
        )
        yield World(ports, db, made, mailbox, clock, bank)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def new_csr(key: Any = None) -> Csr:
    return read_csr(csr_der(key or new_key()))


def csr_der(key: Any) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "whatever the client wrote")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(Encoding.DER)
