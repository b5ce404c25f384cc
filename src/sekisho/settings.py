"""What an installation is told: one validated file in its data folder."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping

SiteName = Literal["public", "administrator", "user", "console", "pki", "app"]
SITES: tuple[SiteName, ...] = ("public", "administrator", "user", "console", "pki", "app")
FILE = "sekisho.toml"
DATABASE_URL = "SEKISHO_DATABASE_URL"
# What a Unix socket's path may take on every system that has them, with its closing zero.
_SOCKET_PATH = 100


class DataFolderProblem(Exception):  # noqa: N818 - the kinds below
    """The data folder cannot be used; the text is one line for whoever started the program."""


class DataFolderMissing(DataFolderProblem):
    """Nothing was set up there."""


class DataFolderDamaged(DataFolderProblem):
    """Something that belongs there is missing or cannot be read."""


class DatabaseNotUsable(DataFolderProblem):
    """The database server that the environment names is away, or has not what it should have."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SiteSettings(_Strict):
    """One site: its address as the world sees it, and where it listens."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^/]+$")]
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)]


class CaSettings(_Strict):
    """A CA that runs apart: the socket at which it answers, and the user that it runs as.

    Without a socket `serve` starts a CA of its own.
    """

    socket: Path | None = None
    user: str | None = None


class Settings(_Strict):
    """One bank's installation on one machine.

    `organization` stands in every certificate's name. `tls_certificate` and
    `tls_key` are PEM files, relative ones below the data folder. `crl_shards`
    is in how many parts the revocation list is divided for the certificates
    that are ordered from now on, 1 for none; `ocsp_nonce` whether a nonce in
    a question about a certificate is answered.
    `database_url` is the address of a PostgreSQL database, which may hold a
    password and therefore comes from the environment (`DATABASE_URL`) and
    stands in no file; None is for SQLite in the data folder.
    """

    data_dir: Path
    bank: Annotated[str, StringConstraints(pattern=r"^[0-9]{4}$")]
    organization: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    sites: dict[SiteName, SiteSettings]
    tls_certificate: Path = Path("tls/server.pem")
    tls_key: Path = Path("tls/server.key.pem")
    ca: CaSettings = CaSettings()
    crl_shards: Annotated[int, Field(ge=1, le=1000)] = 8
    ocsp_nonce: bool = True
    database_url: Annotated[str | None, Field(exclude=True, repr=False)] = None

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.data_dir / "sekisho.db"

    @property
    def ca_dir(self) -> Path:
        """Where the CA's process finds its keys."""
        return self.data_dir / "ca"

    @property
    def compromised_keys(self) -> Path:
        """The list of keys that nobody gets a certificate for, where the bank has brought one."""
        return self.data_dir / "compromised-keys.dat"

    @property
    def outbox(self) -> Path:
        """Where mails are put as .eml files."""
        return self.data_dir / "outbox"

    @property
    def urls(self) -> Mapping[str, str]:
        """Every site's address by its name."""
        return {name: site.url for name, site in self.sites.items()}

    @property
    def run_dir(self) -> Path:
        """Where what lives as long as a process lies.

        In the data folder, or in a private folder of its own where a socket's
        path would be too long.
        """
        near = self.data_dir / "run"
        if len(os.fsencode(near / "ca.sock")) <= _SOCKET_PATH:
            return near
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"sekisho-{os.getuid()}-{digest}"

    @property
    def ca_socket(self) -> Path:
        """Where the CA answers."""
        return self.ca.socket or self.run_dir / "ca.sock"

    def save(self) -> None:
        """Write the file, whole or not at all."""
        lines = [f"bank = {_text(self.bank)}", f"organization = {_text(self.organization)}"]
        lines += [
            f"tls_certificate = {_text(str(self.tls_certificate))}",
            f"tls_key = {_text(str(self.tls_key))}",
            f"crl_shards = {self.crl_shards}",
            f"ocsp_nonce = {str(self.ocsp_nonce).lower()}",
        ]
        for name, site in self.sites.items():
            lines += [
                "",
                f"[sites.{name}]",
                f"url = {_text(site.url)}",
                f"host = {_text(site.host)}",
                f"port = {site.port}",
            ]
        lines += _table("ca", self.ca)
        new = self.data_dir / f"{FILE}.new"
        new.write_text("\n".join(lines) + "\n", "utf-8")
        new.replace(self.data_dir / FILE)


def load(data_dir: Path) -> Settings:
    """Return the settings of a data folder. Raises `DataFolderMissing` or `DataFolderDamaged`."""
    data_dir = data_dir.resolve()
    file = data_dir / FILE
    try:
        content = tomllib.loads(file.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise DataFolderMissing(f"{data_dir} holds no Sekisho; set one up with: sekisho init") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as unreadable:
        raise DataFolderDamaged(f"{file} cannot be read: {unreadable}") from unreadable
    try:
        return Settings(data_dir=data_dir, database_url=_database_url(), **content)
    except (ValidationError, TypeError) as wrong:
        first = wrong.errors()[0] if isinstance(wrong, ValidationError) else {"loc": (), "msg": str(wrong)}
        where = ".".join(map(str, first["loc"]))
        raise DataFolderDamaged(f"{file}: {where}: {first['msg']}") from wrong


def on_localhost(data_dir: Path, bank: str, organization: str, port_base: int) -> Settings:
    """Return settings for one machine: every site on a loopback port of its own from `port_base` on."""
    sites = {
        name: SiteSettings(
            url=f"{'http' if name == 'pki' else 'https'}://localhost:{port_base + at}", port=port_base + at
        )
        for at, name in enumerate(SITES)
    }
    return Settings(
        data_dir=data_dir.resolve(),
        bank=bank,
        organization=organization,
        sites=sites,
        database_url=_database_url(),
    )


def _database_url() -> str | None:
    return os.environ.get(DATABASE_URL) or None


def _table(name: str, values: BaseModel) -> list[str]:
    """Write what was set in a table, and nothing where nothing was."""
    told = [(key, value) for key, value in values.model_dump(exclude_none=True).items() if value != {}]
    return ["", f"[{name}]", *(f"{key} = {_text(str(value))}" for key, value in told)] if told else []


def _text(value: str) -> str:
    # JSON's strings are TOML's basic strings as well.
    return json.dumps(value, ensure_ascii=False)
