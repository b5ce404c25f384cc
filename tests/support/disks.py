"""File systems of their own for a program, so small that a test fills them."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def inside_mounts_of(pid: int, script: str) -> None:
    """Run a script where the process's mounts are seen."""
    argv = ["nsenter", "-t", str(pid), "-m", "--", "sh", "-c", script]
    if os.getuid() != 0:
        argv[3:3] = ["-U", "--preserve-credentials"]
    subprocess.run(argv, check=True, capture_output=True, timeout=60)


def on_small_disk(
    folder: Path, megabytes: int, argv: Sequence[str], *, filled_from: Path | None = None, owner: str = "root"
) -> list[str]:
    """Return how to run a program with a file system of its own, of that size, on a folder.

    It ends with the program. `filled_from` is copied into it first.
    """
    unshare = ["unshare", "--mount", "--propagation", "private"]
    if os.getuid() != 0:
        unshare[1:1] = ["--user", "--map-root-user"]
    mount = f"mount -t tmpfs -o size={megabytes}m,mode=755,uid={owner} tmpfs {folder}"
    copy = f" && cp -a {filled_from}/. {folder}" if filled_from else ""
    return [*unshare, "sh", "-c", f'{mount}{copy} && exec "$@"', "sh", *argv]
