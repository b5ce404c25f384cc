"""`tegata:` links: what stands in one, and how a desktop comes to open them with Tegata.

    tegata:acquire?url=https%3A%2F%2Fbank.example&bank=9990&for=user

Nothing secret stands in a link, and anybody can write one: so it only fills
in an address, which the window shows.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tegata.errors import Unfinished

_DESKTOP_FILE = "tegata.desktop"
_SCHEME = "x-scheme-handler/tegata"
_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Link:
    """What a link asks for: `kind` is "administrator" or "user"."""

    url: str
    bank: str
    kind: str


def parse(text: str) -> Link:
    """Return what a link says. Raises `Unfinished` for anything that is not just that."""
    parts = urlsplit(text)
    if len(text) > _LONGEST or parts.scheme != "tegata" or parts.path != "acquire" or parts.netloc:
        raise Unfinished("link-not-usable")
    try:
        query = parse_qs(parts.query, strict_parsing=True, max_num_fields=3)
        (url,), (bank,), (kind,) = query["url"], query["bank"], query["for"]
    except (ValueError, KeyError) as unreadable:
        raise Unfinished("link-not-usable") from unreadable
    address = urlsplit(url)
    plain = address.scheme == "https" and address.hostname and address.path in {"", "/"}
    extra = address.query or address.fragment or address.username or address.password
    if not plain or extra or not re.fullmatch(r"[0-9]{4}", bank) or kind not in {"administrator", "user"}:
        raise Unfinished("link-not-usable")
    return Link(f"https://{address.netloc}", bank, kind)


def install() -> Path:
    """Have this person's desktop open `tegata:` links with Tegata; return the file that says so."""
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
    file = data / "applications" / _DESKTOP_FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(_desktop_file(), "utf-8")
    # Both belong to Debian's xdg-utils and desktop-file-utils. Without them the desktop finds the file by itself
    # at the next logon, and mimeapps.list is what makes it the first choice.
    if shutil.which("xdg-mime"):
        subprocess.run(["xdg-mime", "default", _DESKTOP_FILE, _SCHEME], check=False, timeout=30)  # noqa: S607 - on PATH
    if shutil.which("update-desktop-database"):
        subprocess.run(["update-desktop-database", str(file.parent)], check=False, timeout=30)  # noqa: S607 - on PATH
    return file


def _desktop_file() -> str:
    command = " ".join(_quoted(part) for part in (sys.executable, "-m", "tegata", "open"))
    return "\n".join(
        [
            "[Desktop Entry]",
            "Type=Application",
            "Name=Tegata",
            "Name[ja]=Tegata(手形)",
            "Comment=Acquire the certificate for business internet banking",
            "Comment[ja]=インターネットバンキングの電子証明書を取得します",
            f"Exec={command} %u",
            "Terminal=false",
            "Categories=Utility;Security;",
            f"MimeType={_SCHEME};",
            "NoDisplay=false",
            "",
        ]
    )


def _quoted(part: str) -> str:
    """Quote an argument as the Desktop Entry Specification says."""
    if re.fullmatch(r"[A-Za-z0-9_./-]+", part):
        return part
    escaped = re.sub(r'(["`$\\])', r"\\\1", part).replace("%", "%%")
    return f'"{escaped}"'
