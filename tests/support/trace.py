"""What processes ask of the kernel, in the order in which they ask it: strace, and how to read it.

A thread that strace follows goes on only when strace has taken note of it.
So what stands before something else in the one file happened before it,
wherever one caused the other.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

_READY_S = 30
_CALLS = "pwrite64,pwritev,write,writev,fsync,fdatasync,sendto,sendmsg,recvfrom"
_LINE = re.compile(r"^(\d+) +(.*)$")
_RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>(.*)$")
_UNFINISHED = " <unfinished ...>"


@dataclass
class Call:
    """One call: the lines at which it began and ended, who made it, and what it was about."""

    begun: int
    ended: int
    pid: int
    name: str
    text: str

    @property
    def result(self) -> int:
        match = re.search(r" = (-?\d+)", self.text)
        return int(match[1]) if match else -1

    @property
    def about(self) -> str:
        """The file or the connection."""
        match = re.match(r"\d+<(.*?)>[,)]", self.text)
        return re.sub(r"\\x([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), match[1]) if match else ""

    @property
    def content(self) -> bytes:
        """What was written or read."""
        return b"".join(
            bytes.fromhex(part.replace("\\x", "")) for part in re.findall(r'"((?:\\x[0-9a-f]{2})*)"', self.text)
        )


@dataclass
class Trace:
    """Follows processes, with the threads and processes that they start, while the block lasts."""

    file: Path
    pids: Sequence[int]
    calls: list[Call] = field(default_factory=list)

    def __enter__(self) -> Self:
        # Strings in hex and long enough for a database's page.
        argv = ["strace", "-f", "-yy", "-xx", "-s", "9000", "-e", f"trace={_CALLS}", "-e", "signal=none"]
        argv += [part for pid in self.pids for part in ("-p", str(pid))]
        as_root = [] if os.getuid() == 0 else ["sudo"]
        self._said = self.file.with_suffix(".said").open("wb")
        self._strace = subprocess.Popen([*as_root, *argv, "-o", str(self.file)], stderr=self._said)
        deadline = time.monotonic() + _READY_S
        while not all(_followed(pid) for pid in self.pids):
            assert self._strace.poll() is None, self.file.with_suffix(".said").read_text()
            assert time.monotonic() < deadline, "strace does not follow"
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        self._strace.send_signal(signal.SIGINT)
        self._strace.wait(_READY_S)
        self._said.close()
        self.calls = read(self.file.read_text("ascii", "replace").splitlines())


def _followed(pid: int) -> bool:
    try:
        states = [(thread / "status").read_text() for thread in Path(f"/proc/{pid}/task").iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return True  # it has ended meanwhile, as a session of PostgreSQL may
    return all("TracerPid:\t0\n" not in state for state in states)


def read(lines: Sequence[str]) -> list[Call]:
    """Return the calls that were finished, in the order in which they began."""
    calls: list[Call] = []
    open_calls: dict[int, tuple[int, str, str]] = {}
    for number, line in enumerate(lines):
        match = _LINE.match(line)
        if match is None:
            continue
        pid, rest = int(match[1]), match[2]
        resumed = _RESUMED.match(rest)
        if resumed is not None:
            begun, name, text = open_calls.pop(pid, (number, resumed[1], ""))
            calls.append(Call(begun, number, pid, name, text + resumed[2]))
            continue
        name, bracket, text = rest.partition("(")
        if not bracket or not name.isidentifier():
            continue
        if text.endswith(_UNFINISHED):
            open_calls[pid] = (number, name, text.removesuffix(_UNFINISHED))
        else:
            calls.append(Call(number, number, pid, name, text))
    return sorted(calls, key=lambda call: call.begun)
