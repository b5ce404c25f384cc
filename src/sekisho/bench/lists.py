"""Revocation lists of many entries: how long each part of making one takes, and how much memory.

The database is a file of SQLite with that many entries and nothing else; the
CA is a process as an installation has it, its journal included.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509

from sekisho import wiring
from sekisho.bench import machine
from sekisho.bench.bank import Served
from sekisho.ca import child
from sekisho.cli import installation, running
from sekisho.domain.certificate import Reason
from sekisho.domain.issuing_ca import IssuingCa
from sekisho.domain.person import Kind
from sekisho.pki import crl
from sekisho.settings import on_localhost
from sekisho.store import crl_entries

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sekisho.domain.contract import Bank
    from sekisho.usecases.ports import Ports

_LIFE = timedelta(days=1)
_INSERT = (
    "INSERT INTO crl_entries (certificate_id, bank, kind, serial, not_after, changed_at, entry) "
    "VALUES (?, ?, 'user', ?, ?, ?, ?)"
)


def measure(bank: Bank, base: int, sizes: Sequence[int], say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Make a list of each size in an installation of its own, and return what each took."""
    return [_in_own_process(bank, base, size, say) for size in sizes]


def _in_own_process(bank: Bank, base: int, size: int, say: Callable[[str], None]) -> dict[str, Any]:
    spawn = multiprocessing.get_context("spawn")
    mine, theirs = spawn.Pipe()
    process = spawn.Process(target=_send, args=(theirs, bank, base, size))
    process.start()
    theirs.close()
    try:
        taken: dict[str, Any] = mine.recv()
    finally:
        process.join()
    say(f"a list of {size:,} entries in {taken['made_s']:.2f} s beside the database")
    return taken


def _send(pipe: Any, bank: Bank, base: int, size: int) -> None:
    with tempfile.TemporaryDirectory(prefix="sekisho-lists-") as folder:
        pipe.send(_take(Path(folder) / "bank", bank, base, size))


def _take(folder: Path, bank: Bank, base: int, size: int) -> dict[str, Any]:
    settings = on_localhost(folder, bank.code, bank.name["en"], base).model_copy(update={"database_url": None})
    installation.set_up(settings, bank)
    running.make_run_folder(settings)
    with wiring.open_ports(settings) as ports, child.running(child.command(folder)):
        now = ports.now().replace(microsecond=0)
        _fill(ports, bank.code, size, now)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        with ports.db.read() as tx:
            entries = crl_entries.joined(tx, bank.code, IssuingCa(Kind.USER), None, since=now, now=now)
        read = time.perf_counter()
        _signed(ports, bank.code, entries, now)
        signed = time.perf_counter()
        # The next list of the day: nearly all of it stood in the one before.
        der = _signed(ports, bank.code, entries, now + timedelta(seconds=1))
        again = time.perf_counter()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        authorities = Served(os.getpid()).processes()["ca"]
        if len(x509.load_der_x509_crl(der)) != size:
            raise RuntimeError("the list lacks entries")
        return {
            "entries": size,
            "octets": len(der),
            "database_s": round(read - began, 4),
            "first_s": round(signed - read, 4),
            "made_s": round(again - signed, 4),
            "site_mib": round((peak - before) / 1024, 1),
            "ca_mib": round(max(machine.peak_mib(pid) for pid in authorities), 1),
        }


def _fill(ports: Ports, bank: str, size: int, now: datetime) -> None:
    """Write entries of certificates that are not there: a list needs no more."""
    then = now - timedelta(days=1)
    moment = then.astimezone(UTC).replace(tzinfo=None).isoformat(" ") + ".000000"
    over = (now + timedelta(days=100)).replace(tzinfo=None).isoformat(" ") + ".000000"
    serials = (int.from_bytes(os.urandom(16)) | 1 for _ in range(size))
    rows = (
        (at + 1, bank, f"{serial:032x}", over, moment, crl.entry(serial, then, Reason.SUPERSEDED))
        for at, serial in enumerate(serials)
    )
    with ports.db.writing.connect() as connection:  # type: ignore[attr-defined]  # the embedded database
        driver: Any = connection.connection.driver_connection
        driver.execute("PRAGMA foreign_keys = OFF").close()
        driver.execute("BEGIN")
        driver.executemany(_INSERT, rows).close()
        driver.execute("COMMIT")
        connection.invalidate()


def _signed(ports: Ports, bank: str, entries: bytes, now: datetime) -> bytes:
    return ports.cas[bank].sign_crl(
        Kind.USER, None, entries, number=int(now.timestamp()), this_update=now, next_update=now + _LIFE
    )
