"""A timer of this person's systemd that renews each day what is due, and words on their desktop."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tegata.errors import Unfinished

_NAME = "tegata-renew"


@dataclass(frozen=True, slots=True)
class Installed:
    """Where the timer stands, and whether systemd has started it."""

    file: Path
    started: bool


def install(store_pin_file: Path | None = None) -> Installed:
    """Write the units and start the timer. Raises `Unfinished`.

    `store_pin_file` has a token's PIN in its first line; the service reads it
    as `--pin-stdin` does. It must be readable by its owner alone.
    """
    if store_pin_file is not None and store_pin_file.stat().st_mode & 0o077:
        raise Unfinished("file-open-to-others", file=store_pin_file)
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    folder = config / "systemd" / "user"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{_NAME}.service").write_text(_service(store_pin_file), "utf-8")
        timer = folder / f"{_NAME}.timer"
        timer.write_text(_TIMER, "utf-8")
    except OSError as denied:
        raise Unfinished("records-not-writable", folder=folder, detail=denied.strerror) from denied
    return Installed(timer, _started())


def _started() -> bool:
    if shutil.which("systemctl") is None:
        return False
    for command in (["daemon-reload"], ["enable", "--now", f"{_NAME}.timer"]):
        argv = ["systemctl", "--user", *command]
        if subprocess.run(argv, capture_output=True, timeout=30, check=False).returncode != 0:
            return False
    return True


def notify(text: str) -> None:
    """Show words on the person's desktop, where it has a way to; notify-send belongs to libnotify."""
    if shutil.which("notify-send"):
        argv = ["notify-send", "--app-name=Tegata", "--", "Tegata(手形)", text]
        subprocess.run(argv, capture_output=True, timeout=30, check=False)


_TIMER = f"""[Unit]
Description=Tegata: renew banking certificates that are due

[Timer]
OnCalendar=daily
RandomizedDelaySec=6h
# A computer that was off then looks soon after its start.
Persistent=true
Unit={_NAME}.service

[Install]
WantedBy=timers.target
"""


def _service(store_pin_file: Path | None) -> str:
    pin = [] if store_pin_file is None else ["--pin-stdin"]
    command = " ".join(_quoted(part) for part in (sys.executable, "-m", "tegata", "renew", "--due", "--notify", *pin))
    lines = [
        "[Unit]",
        "Description=Tegata: renew banking certificates that are due",
        "",
        "[Service]",
        "Type=oneshot",
        f"ExecStart={command}",
        # Something for a person to do is no failure of the service.
        "SuccessExitStatus=50",
        "UMask=0077",
    ]
    if store_pin_file is not None:
        # Specifiers are expanded there, and quotes are not known.
        lines.append("StandardInput=file:" + str(store_pin_file.absolute()).replace("%", "%%"))
    return "\n".join([*lines, ""])


def _quoted(part: str) -> str:
    """Quote an argument as systemd.service(5) says."""
    if re.fullmatch(r"[A-Za-z0-9_./-]+", part):
        return part
    escaped = re.sub(r'(["\\])', r"\\\1", part).replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'
