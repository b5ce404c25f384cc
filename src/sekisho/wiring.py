"""Puts the parts together: from settings to ports and sites."""

from __future__ import annotations

import hmac
import logging
import mmap
import os
import secrets
import sqlite3
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from sekisho.ca import keys, peer
from sekisho.ca.authority import Authority
from sekisho.ca.blocks import JournalBroken
from sekisho.ca.client import DEADLINE_S, CaClient
from sekisho.ca.journal import Journal
from sekisho.ca.root_list_file import RevokedCas
from sekisho.ca.signer import Signer
from sekisho.ca.staff_journal import StaffJournal
from sekisho.ca.token import KeyNotUsable, PinRefused, Token, TokenAway, TokenSpec
from sekisho.console.app import console_app
from sekisho.domain.errors import StoreAway
from sekisho.domain.person import Kind
from sekisho.domain.policy import Policy, as_installed
from sekisho.edge.choice import ChoiceBook
from sekisho.edge.marks import Marks
from sekisho.edge.server import Site as Listener
from sekisho.edge.server import SiteTls
from sekisho.est.routes import public_routes, secure_routes
from sekisho.mail_server import MailServer, ServerAddress
from sekisho.outbox import Outbox
from sekisho.pki import hierarchy
from sekisho.pki.authority_request import NotOfThisBank
from sekisho.pki.compromised_keys import CompromisedKeys
from sekisho.pki.csr import certified_key_fits
from sekisho.pki.profile import BankName
from sekisho.portal.administrator import administrator_app
from sekisho.portal.not_open import not_open_app
from sekisho.portal.public import public_app
from sekisho.portal.user import user_app
from sekisho.settings import DATABASE_URL, FILE, DatabaseNotUsable, DataFolderDamaged
from sekisho.store import banks, migrate, policies
from sekisho.store.grants import grant_web
from sekisho.store.opening import open_database
from sekisho.store.postgresql import PostgresDatabase, read_url
from sekisho.usecases.ports import Ports
from sekisho.va.routes import PkiSite
from sekisho.vault.pins import PinHasher
from sekisho.vault.seal import CardSeal
from sekisho.web.csrf import FormTokens
from sekisho.web.render import Renderer
from sekisho.web.site import Site
from sekisho.web.turnstile import Places, Turnstile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sekisho.domain.contract import Bank
    from sekisho.settings import Settings, SiteName, TokenSettings
    from sekisho.store.database import Database
    from sekisho.usecases.ports import Mail

log = logging.getLogger("sekisho")
_INSUFFICIENT_PRIVILEGE = "42501"
# Looking through a larger file takes minutes, in which a command, or each worker of a start, would do nothing else.
_CHECKED_AT_ONCE = 256 * 2**20
_SECRETS = {"pepper": 32, "card-key": 32, "form-key": 32}


def make_secrets(settings: Settings) -> None:
    """Make the secrets that no database holds. Raises FileExistsError rather than replace one."""
    folder = settings.data_dir / "secrets"
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, length in _SECRETS.items():
        keys.write_secret(folder / name, secrets.token_bytes(length))


def _secret(settings: Settings, name: str) -> bytes:
    file = settings.data_dir / "secrets" / name
    try:
        content = file.read_bytes()
    except OSError as unreadable:
        raise DataFolderDamaged(f"{file} cannot be read: {unreadable.strerror}") from unreadable
    if len(content) != _SECRETS[name]:
        raise DataFolderDamaged(f"{file} is not {_SECRETS[name]} bytes long")
    return content


@contextmanager
def open_ports(settings: Settings) -> Iterator[Ports]:
    """Open what the use cases need.

    Raises `DataFolderDamaged` where something is missing or does not fit, and
    `DatabaseNotUsable` where a database server cannot be used.
    """
    db = open_store(settings)
    try:
        _check_store(settings, db)
        ca = ca_client(settings)
        yield Ports(
            db=db,
            cas={settings.bank: ca},
            records={settings.bank: ca},
            staff_records={settings.bank: StaffJournal(settings.staff_ca_dir, lambda: ca_passphrase(settings))},
            mail=_mail(settings),
            pins=PinHasher(_secret(settings, "pepper")),
            seal=CardSeal(_secret(settings, "card-key")),
            now=lambda: datetime.now(UTC),
            entropy=os.urandom,
            compromised=_compromised_keys(settings),
        )
    finally:
        db.close()


def ca_client(settings: Settings, *, deadline_s: float = DEADLINE_S) -> CaClient:
    """Return who asks the installation's CA. Raises `DataFolderDamaged` where its user does not exist."""
    return CaClient(settings.ca_socket, deadline_s=deadline_s, owner=_ca_owner(settings))


def _ca_owner(settings: Settings) -> int | None:
    if settings.ca.user is None:
        return None
    try:
        (owner,) = peer.uids([settings.ca.user])
    except LookupError as unknown:
        raise DataFolderDamaged(f"{settings.data_dir / FILE}: ca.user: {unknown}") from unknown
    return owner


def _compromised_keys(settings: Settings) -> CompromisedKeys:
    """Return the list of keys that others have, where somebody put one into the data folder."""
    file = settings.compromised_keys
    try:
        with file.open("rb") as content:
            return CompromisedKeys(mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ))
    except FileNotFoundError:
        return CompromisedKeys()
    except (OSError, ValueError) as unusable:  # an empty file cannot be mapped: ValueError
        raise DataFolderDamaged(f"{file} cannot be used: {unusable}") from unusable


def _mail(settings: Settings) -> Mail:
    mail = settings.mail
    if mail is None:
        return Outbox(settings.outbox, f"no-reply@bank-{settings.bank}.invalid")
    folder = settings.data_dir
    address = ServerAddress(
        host=mail.host,
        port=mail.port,
        implicit_tls=mail.implicit_tls,
        own_name=urlsplit(settings.sites["public"].url).hostname or "localhost",
        authorities=None if mail.authorities is None else folder / mail.authorities,
        user=mail.user,
        password_file=None if mail.password_file is None else folder / mail.password_file,
    )
    return MailServer(address, mail.sender)


def open_store(settings: Settings) -> Database:
    """Return the installation's database, not looked at yet. Raises `DatabaseNotUsable`."""
    try:
        return open_database(settings.database, settings.database_url)
    except ValueError as unusable:
        raise DatabaseNotUsable(f"{DATABASE_URL} {unusable}") from None


def upgrade_database(address: str, web_role: str | None) -> str | None:
    """Bring a PostgreSQL database's tables to this version and grant the sites' role its rights.

    Returns the version. Raises `DatabaseNotUsable`.
    """
    try:
        db = PostgresDatabase(read_url(address))
    except ValueError as unusable:
        raise DatabaseNotUsable(f"{DATABASE_URL} {unusable}") from None
    try:
        with database_told():
            migrate.upgrade(db)
            if web_role is not None:
                db.change_tables(lambda tx: grant_web(tx, web_role))
    finally:
        db.close()
    return migrate.head()


@contextmanager
def database_told() -> Iterator[None]:
    """Turn what a database server refuses into one line. Raises `DatabaseNotUsable`."""
    try:
        yield
    except StoreAway as away:
        raise DatabaseNotUsable(f"the database cannot be used: {_first_line(away.__cause__ or away)}") from away
    except SQLAlchemyError as refused:
        raise DatabaseNotUsable(f"the database cannot be used: {_first_line(refused)}") from refused


def _check_store(settings: Settings, db: Database) -> None:
    """Bring the tables to this version. Raises `DataFolderDamaged` or `DatabaseNotUsable`."""
    if settings.database_url is not None:
        with database_told():
            try:
                migrate.upgrade(db)
            except ProgrammingError as denied:
                if getattr(denied.orig, "sqlstate", None) != _INSUFFICIENT_PRIVILEGE:
                    raise
                raise DatabaseNotUsable(
                    "the database's tables are not those of this version; their owner runs: sekisho database upgrade"
                ) from denied
        return
    try:
        _check_file(settings, db)
        migrate.upgrade(db)
    except (SQLAlchemyError, sqlite3.Error, StoreAway) as unreadable:
        reason = _first_line(unreadable.__cause__ or unreadable)
        raise DataFolderDamaged(f"{settings.database} cannot be used: {reason}") from unreadable


def _check_file(settings: Settings, db: Database) -> None:
    if not settings.database.exists():
        raise DataFolderDamaged(f"{settings.database} is missing")
    if settings.database.stat().st_size > _CHECKED_AT_ONCE:
        return
    with db.read() as tx:
        broken = tx.exec_driver_sql("PRAGMA quick_check(1)").scalar_one() != "ok"
    if broken:
        raise DataFolderDamaged(f"{settings.database} is damaged; restore it from a backup")


def _first_line(error: BaseException) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]


def load_bank(settings: Settings, ports: Ports) -> Bank:
    """Return the bank of an installation, with the policy that is in force now.

    Raises `DataFolderDamaged` where the database does not know it.
    """
    with ports.db.read() as tx:
        bank = banks.find(tx, settings.bank)
        in_force = None if bank is None else policies.timeline(tx, bank.code).at(ports.now())
    if bank is None or in_force is None:
        where = settings.database if settings.database_url is None else "the database"
        raise DataFolderDamaged(f"{where} does not know the bank {settings.bank}")
    installed = Policy(
        crl_shards=settings.crl_shards,
        ocsp_nonce=settings.ocsp_nonce,
        issuing_cas=keys.installed(settings.ca_dir),
    )
    return replace(bank, policy=as_installed(in_force, installed))


def take_prepared(settings: Settings) -> None:
    """Take issuing CAs that `sekisho ca rotate` prepared into use. For a start from nothing, before anything else."""
    for taken in keys.take_prepared(settings.ca_dir):
        log.info("the issuing CA %s signs from now on", taken.name)


@contextmanager
def open_authority(
    settings: Settings, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Iterator[Authority]:
    """Open the CA of its own process, which goes by its own clock.

    Raises `DataFolderDamaged` where its keys cannot be used or its journal
    does not hold, and `JournalInUse`.
    """
    with ExitStack() as closing:
        try:
            keys.check_installed(settings.ca_dir)
            passphrase = ca_passphrase(settings)
            key = keys.journal_key(settings.ca_dir, passphrase)
            token = _open_token(settings, key)
            if token is not None:
                closing.callback(token.close)
            issuing = keys.load_issuing(settings.ca_dir, passphrase, token)
            root = keys.load_certificate(settings.ca_dir, hierarchy.ROOT)
            revoked = RevokedCas(settings.ca_dir, root, {ca: pair.certificate for ca, pair in issuing.items()})
        except (OSError, ValueError, TokenAway, PinRefused, KeyNotUsable, NotOfThisBank) as unusable:
            raise DataFolderDamaged(f"the keys in {settings.ca_dir} cannot be used: {unusable}") from unusable
        at_once = 1 if token is None else token.processes
        bank = BankName(settings.bank, settings.organization)
        signer = Signer(bank, issuing, settings.sites["pki"].url, now=now, at_once=at_once, revoked=revoked)
        try:
            journal = Journal(settings.ca_dir / "journal", key)
        except JournalBroken as broken:
            raise DataFolderDamaged(f"the CA's journal does not hold, so nothing is signed: {broken}") from broken
        closing.callback(journal.close)
        yield Authority(signer, journal, now=now)


def ca_passphrase(settings: Settings) -> bytes | None:
    """Return what opens the CA's keys in encrypted files. Raises `DataFolderDamaged`."""
    file = settings.ca.passphrase_file
    return None if file is None else settings.read_secret(file).encode()


def token_spec(settings: TokenSettings, pin: str) -> TokenSpec:
    """Return which token the settings name."""
    return TokenSpec(str(settings.module), settings.label, pin)


def _open_token(settings: Settings, journal_key: bytes) -> Token | None:
    """Open the token where keys lie in one. A PIN that it refused once is not tried again: it closes after a few."""
    in_token = keys.public_keys(settings.ca_dir)
    if settings.ca.token is None or not in_token:
        return None
    pin = settings.read_secret(settings.ca.token.pin_file)
    refused = settings.ca_dir / "pin-refused"
    tag = hmac.digest(journal_key, pin.encode(), "sha256")
    if refused.exists() and refused.read_bytes() == tag:
        raise PinRefused(f"the token refused this PIN before; put the right one into {settings.ca.token.pin_file}")
    try:
        spec = token_spec(settings.ca.token, pin)
        return Token(spec, list(in_token.values()), processes=settings.ca.token.processes)
    except PinRefused:
        refused.write_bytes(tag)
        raise


def build_sites(
    settings: Settings, ports: Ports, in_force: Callable[[], Bank], *, processes: int = 1
) -> list[Listener]:
    """Return every listener with its application, of which each of so many processes has its own.

    `in_force` gives the bank as it is whenever it is asked for.
    """
    bank = in_force()
    try:
        keys.check_installed(settings.ca_dir)
        names = ("root", *(ca.name for ca in bank.policy.issuing_cas))
        certificates = {name: keys.load_certificate(settings.ca_dir, name) for name in names}
    except (OSError, ValueError) as unreadable:
        raise DataFolderDamaged(f"the certificates in {settings.ca_dir} cannot be used: {unreadable}") from unreadable
    der = {name: certificate.public_bytes(Encoding.DER) for name, certificate in certificates.items()}
    cacerts, cas = list(certificates.values()), bank.policy.issuing_cas
    forms = FormTokens(_secret(settings, "form-key"))
    renderer = Renderer()
    # A book for each: a certificate that is refused at one site may be shown at another meanwhile.
    choices = {name: ChoiceBook(marks=_marks(settings, name, processes)) for name in settings.sites}
    # A turnstile for each site: a flood at the public one takes no turn away from people with a certificate. A
    # little more than one for each core, so that cores check while somebody else's turn is in the database.
    at_once = -(-((os.cpu_count() or 1) + 2) // processes)
    turnstiles = {
        name: Turnstile(site_at_once=at_once, places=_places(settings, name, processes)) for name in settings.sites
    }

    def site(name: SiteName, kind: Kind | None = None) -> Site:
        return Site(name, in_force, kind, settings.urls, ports, renderer, forms, turnstiles[name], choices[name])

    def listener(
        name: SiteName,
        app: object,
        kind: Kind | None = None,
        *,
        authorities: list[bytes] | None = None,
    ) -> Listener:
        where = settings.sites[name]
        if kind is not None:
            authorities = [der[ca.name] for ca in cas if ca.kind is kind]
        security = SiteTls(
            certificate=settings.data_dir / settings.tls_certificate,
            key=settings.data_dir / settings.tls_key,
            client_authorities=authorities,
            choices=choices[name],
            key_fits=certified_key_fits,
        )
        return Listener(name, where.host, where.port, app, security)

    public = site("public")
    chains = {ca: [der[ca.name], der["root"]] for ca in cas}
    administrator, user = site("administrator", Kind.ADMINISTRATOR), site("user", Kind.USER)
    pki, pki_at = PkiSite(ports, bank, der), settings.sites["pki"]
    return [
        listener("public", public_app(public, chains=chains, est=public_routes(public, cacerts))),
        listener(
            "administrator",
            administrator_app(administrator, chains=chains, est=secure_routes(administrator, cacerts)),
            Kind.ADMINISTRATOR,
        ),
        listener("user", user_app(user, chains=chains, est=secure_routes(user, cacerts)), Kind.USER),
        listener("console", console_app(site("console")), authorities=_staff_authorities(settings)),
        Listener("pki", pki_at.host, pki_at.port, pki, None, pki.at_hand),
        listener("app", not_open_app(site("app"))),
    ]


def _staff_authorities(settings: Settings) -> list[bytes]:
    """Return whose certificates the console asks for: of everybody's, as long as the bank has no staff here."""
    try:
        ca = keys.load_certificate(settings.staff_ca_dir, "ca")
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as unreadable:
        raise DataFolderDamaged(f"{settings.staff_ca_dir}/ca.pem cannot be used: {unreadable}") from unreadable
    return [ca.public_bytes(Encoding.DER)]


def _marks(settings: Settings, site: SiteName, processes: int) -> Marks:
    return Marks(None if processes == 1 else settings.run_dir / f"choices-{site}")


def _places(settings: Settings, site: SiteName, processes: int) -> Places | None:
    return None if processes == 1 else Places(settings.run_dir / f"places-{site}")
