"""`--store`: which key store is meant, and which ones this computer has."""

from __future__ import annotations

import configparser
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tegata.errors import StoreTrouble

if TYPE_CHECKING:
    from collections.abc import Callable

    from tegata.stores.interface import KeyStore

_NOT_HERE_YET = ("windows", "macos")
_FIREFOX_HOMES = (
    ".mozilla/firefox",
    ".config/mozilla/firefox",
    "snap/firefox/common/.mozilla/firefox",
    ".var/app/org.mozilla.firefox/.mozilla/firefox",
)


@dataclass(frozen=True, slots=True)
class Spec:
    """A parsed `--store`: `kind` is "nss" or "pkcs11", `where` the folder or the module."""

    kind: str
    where: str
    token: str | None = None

    def __str__(self) -> str:
        return ":".join(part for part in (self.kind, self.where, self.token) if part is not None)


def parse(text: str) -> Spec:
    """Return what a `--store` names. Raises `StoreTrouble`."""
    kind, _, rest = text.partition(":")
    if kind in _NOT_HERE_YET:
        raise StoreTrouble("store-not-here-yet", store=kind)
    if kind == "nss" and rest:
        return Spec("nss", str(Path(rest).expanduser().absolute()))
    if kind == "pkcs11" and rest:
        module, _, token = rest.partition(":")
        return Spec("pkcs11", str(Path(module).expanduser().absolute()), token or None)
    raise StoreTrouble("store-unknown", store=text)


def platform_default() -> Spec:
    """Return this computer's own store: the first browser's database, made where there is no browser yet."""
    found = found_databases()
    return found[0] if found else Spec("nss", str(Path.home() / ".pki/nssdb"))


def found_databases() -> list[Spec]:
    """Return the browsers' databases of this person: Chromium's first, then Firefox's profiles, default ones first."""
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
    # Chromium takes the first that exists.
    chromium = [folder for folder in (Path.home() / ".pki/nssdb", data / "pki/nssdb") if (folder / "cert9.db").exists()]
    folders = [*chromium[:1], *_firefox_profiles()]
    return [Spec("nss", str(folder)) for folder in folders]


def _firefox_profiles() -> list[Path]:
    default: list[Path] = []
    other: list[Path] = []
    for home in (Path.home() / name for name in _FIREFOX_HOMES):
        listed = configparser.RawConfigParser(strict=False)
        try:
            listed.read(home / "profiles.ini", "utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue
        # An installation names the profile that it starts with; older files mark it in the profile's own section.
        chosen = {listed[name].get("Default") for name in listed.sections() if name.startswith("Install")}
        for name in listed.sections():
            path = listed[name].get("Path")
            if not name.startswith("Profile") or not path:
                continue
            folder = home / path if listed[name].get("IsRelative", "1") == "1" else Path(path)
            if (folder / "cert9.db").exists():
                is_default = path in chosen or (not chosen - {None} and listed[name].get("Default") == "1")
                (default if is_default else other).append(folder)
    return default + other


def open_store(spec: Spec, ask_pin: Callable[[str], str] | None, *, create: bool = False) -> KeyStore:
    """Open a store. `ask_pin` is None where only what everybody may see is wanted. Raises `StoreTrouble`."""
    if spec.kind == "nss":
        from tegata.stores.nss import NssStore

        return NssStore(Path(spec.where), ask_pin, create=create)
    from tegata.stores.tokens import TokenStore

    return TokenStore(spec.where, spec.token, ask_pin)


def browsers_that_know(module: str) -> bool | None:
    """Tell whether a browser's database lists a PKCS#11 module, or None where there is no browser's database."""
    lists = [Path(found.where) / "pkcs11.txt" for found in found_databases()]
    if not lists:
        return None
    names = {Path(module).name, Path(module).resolve().name}
    for one in lists:
        try:
            lines = one.read_text("utf-8", "replace").splitlines()
        except OSError:
            continue
        if any(line.startswith("library=") and Path(line[8:]).name in names for line in lines):
            return True
    return False
