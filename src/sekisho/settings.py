"""What an installation is told: one validated file in its data folder."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

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


class TokenSettings(_Strict):
    """A token with the issuing CAs' keys: the PKCS#11 module, the token's label, the file of its user PIN.

    `processes` is how many sessions sign at once, each in a process of its own.
    """

    module: Path
    label: str
    pin_file: Path
    processes: Annotated[int, Field(ge=1, le=32)] = 1


class CaSettings(_Strict):
    """The CA, as far as it is not what `serve` starts by itself with open keys in files.

    One that runs apart answers at `socket` and runs as `user`; without a
    socket `serve` starts one. `passphrase_file` opens keys in encrypted files.
    """

    socket: Path | None = None
    user: str | None = None
    passphrase_file: Path | None = None
    token: TokenSettings | None = None


class MailSettings(_Strict):
    """The mail server. Always with TLS: `smtp://` by STARTTLS, `smtps://` from the first byte.

    `sender` is the address that mails come from. `authorities` is a PEM file
    that the server's certificate is checked against, in place of the
    system's. The password stands in a file of its own. Relative files are
    below the data folder.
    """

    server: Annotated[str, StringConstraints(pattern=r"^smtps?://[^/@?#\s]+$")]
    sender: Annotated[str, StringConstraints(pattern=r"^[!-?A-~]+@[A-Za-z0-9.-]+$")]
    authorities: Path | None = None
    user: Annotated[str | None, StringConstraints(min_length=1)] = None
    password_file: Path | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.user is None) != (self.password_file is None):
            raise ValueError("user and password_file go together")
        if not self.host or not 0 < self.port < 2**16:
            raise ValueError("server names no host, or a port that is none")
        return self

    @property
    def host(self) -> str:
        """The server's name, which its certificate has to carry."""
        return urlsplit(self.server).hostname or ""

    @property
    def port(self) -> int:
        """The port, by default the one for submission (RFC 6409, RFC 8314)."""
        port = urlsplit(self.server).port
        return (465 if self.implicit_tls else 587) if port is None else port

    @property
    def implicit_tls(self) -> bool:
        """Whether TLS begins with the first byte."""
        return self.server.startswith("smtps:")


class Settings(_Strict):
    """One bank's installation on one machine.

    `organization` stands in every certificate's name. `tls_certificate` and
    `tls_key` are PEM files, relative ones below the data folder. `crl_shards`
    is in how many parts the revocation list is divided for the certificates
    that are ordered from now on, 1 for none; `ocsp_nonce` whether a nonce in
    a question about a certificate is answered.
    `database_url` is the address of a PostgreSQL database, which may hold a
    password and therefore comes from the environment (`DATABASE_URL`) and
    stands in no file; None is for SQLite in the data folder. Without `mail`,
    mails are put into the folder `outbox`.
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
    mail: MailSettings | None = None
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
    def staff_ca_dir(self) -> Path:
        """Where the CA for the console is, which `sekisho staff` alone uses."""
        return self.data_dir / "staff-ca"

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

    def read_secret(self, file: Path) -> str:
        """Return the line in a file that somebody put there for the CA.

        A relative path is looked for among systemd's credentials
        (`LoadCredential=`), then in the data folder. Raises
        `DataFolderDamaged` where it cannot be read, or others may read it.
        """
        given = os.environ.get("CREDENTIALS_DIRECTORY")
        places = [Path(folder) / file for folder in (given, self.data_dir) if folder]
        place = next((one for one in places if one.exists()), places[-1])
        try:
            if place.stat().st_mode & 0o077:
                raise DataFolderDamaged(f"{place} may be read by others than its owner; chmod 600 it")
            line = place.read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as unreadable:
            raise DataFolderDamaged(f"{place} cannot be read: {unreadable}") from unreadable
        if not line:
            raise DataFolderDamaged(f"{place} is empty")
        return line

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
        lines += _table("ca", self.ca.model_dump(exclude={"token"}, exclude_none=True))
        if self.ca.token is not None:
            lines += _table("ca.token", self.ca.token.model_dump())
        if self.mail is not None:
            lines += ["", "[mail]"]
            lines += [f"{name} = {_text(str(value))}" for name, value in self.mail if value is not None]
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


def _table(name: str, values: Mapping[str, object]) -> list[str]:
    """Write what was set in a table, and nothing where nothing was."""
    lines = [f"{key} = {value if isinstance(value, int) else _text(str(value))}" for key, value in values.items()]
    return ["", f"[{name}]", *lines] if lines else []


def _text(value: str) -> str:
    # JSON's strings are TOML's basic strings as well.
    return json.dumps(value, ensure_ascii=False)
