"""A journal of a million certificates: a start reads what is new, and what makes the index anew needs little memory."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from sekisho.ca.journal import Journal
from sekisho.ca.sealing import Draft, Known
from sekisho.domain.person import Kind

if TYPE_CHECKING:
    from pathlib import Path

KEY = b"k" * 32
COUNT = 1_000_000
AT = datetime(2026, 11, 24, tzinfo=UTC)
_OPEN = """
import json, sys
from pathlib import Path
from sekisho.ca.journal import Journal
journal = Journal(Path(sys.argv[1]), b"k" * 32)
upto = journal.upto
journal.close()
read = int(Path("/proc/self/io").read_text().split()[1])
most = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(json.dumps({"certificates": upto.certificates, "read": read, "kilobytes": int(most)}))
"""


def draft(n: int) -> Draft:
    serial = int.from_bytes(hashlib.sha256(str(n).encode()).digest()[:16])
    return Draft(Kind.USER, serial, f"9990/{n // 10:011}", bytes(32), b"%800d" % n, AT, AT)


def opened(folder: Path) -> dict[str, Any]:
    ran = subprocess.run([sys.executable, "-c", _OPEN, str(folder)], capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer


@pytest.mark.soak
def test_a_million_certificates(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    journal = Journal(folder, KEY)
    for start in range(0, COUNT, 5000):
        journal.add([draft(n) for n in range(start, start + 5000)])
    journal.close()
    empty = opened(tmp_path / "empty")
    started = opened(folder)
    assert started["certificates"] == COUNT
    assert started["read"] - empty["read"] < 1_000_000
    assert started["kilobytes"] - empty["kilobytes"] < 64_000
    for file in folder.glob("index.sqlite*"):
        file.unlink()
    anew = opened(folder)
    assert anew["certificates"] == COUNT
    assert anew["kilobytes"] - empty["kilobytes"] < 128_000
    journal = Journal(folder, KEY)
    for n in (0, 123_456, COUNT - 1):
        one = journal.known([(Kind.USER, draft(n).serial)])[Kind.USER, draft(n).serial]
        assert isinstance(one, Known)
        assert one.der == draft(n).der
    journal.close()
