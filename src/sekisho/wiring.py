"""Puts together what the use cases need: from settings to ports."""

from __future__ import annotations

import mmap
import os
import secrets
import sqlite3
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from sekisho.ca import keys, peer
from sekisho.ca.client import DEADLINE_S, CaClient
from sekisho.ca.staff_journal import StaffJournal
from sekisho.domain.errors import StoreAway
from sekisho.domain.policy import Policy, as_installed
from sekisho.mail_server import MailServer, ServerAddress
from sekisho.outbox import Outbox
from sekisho.pki.compromised_keys import CompromisedKeys
from sekisho.settings import DATABASE_URL, FILE, DatabaseNotUsable, DataFolderDamaged
from sekisho.store import banks, migrate, policies
from sekisho.store.grants import grant_web
from sekisho.store.opening import open_database
from sekisho.store.postgresql import PostgresDatabase, read_url
from sekisho.usecases.ports import Ports
from sekisho.vault.pins import PinHasher
from sekisho.vault.seal import CardSeal
from sekisho.wiring_ca import ca_passphrase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sekisho.domain.contract import Bank
    from sekisho.settings import Settings
    from sekisho.store.database import Database
    from sekisho.usecases.ports import Mail

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


def secret_of(settings: Settings, name: str) -> bytes:
    """Return one of them. Raises `DataFolderDamaged`."""
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
            pins=PinHasher(secret_of(settings, "pepper")),
            seal=CardSeal(secret_of(settings, "card-key")),
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
