"""Pages of the console: how long the bank's own people wait for one, in turn with FastAPI's hello on the same edge."""

from __future__ import annotations

import http.client
import re
import ssl
import statistics
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import func, insert, select

from sekisho.bench import synthetic
from sekisho.bench.load import Caller, LoadFailed
from sekisho.cli.staff_keys import StaffKey, staff_ca
from sekisho.domain.service_hours import JAPAN
from sekisho.domain.staff import Role
from sekisho.domain.tally import DAY, HOUR, Tally, day_of
from sekisho.store import tallies
from sekisho.store.audit import Actor
from sekisho.store.tables import audit
from sekisho.store.tables import tallies as counts
from sekisho.usecases.add_staff import NewStaff, add_staff

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.bench.bank import BenchBank
    from sekisho.domain.contract import Bank
    from sekisho.store.database import Database
    from sekisho.usecases.ports import Ports

# What people do not notice (docs/adr/0093).
GOAL_MS = 200
_TIMES = 10
_PATIENCE_S = 30.0
_BRANCHES = 100
_COLLEAGUES = (("clerk", Role.CLERK), ("auditor", Role.AUDITOR))
_LIFE = timedelta(days=30)
_TOKEN = re.compile(r'name="csrf" value="([0-9a-f]+)"')
_COOKIE = re.compile(r"(__Host-[^;]+)")


def count(db: Database, bank: str, now: datetime) -> None:
    """Write counts as the worker of a bank with a hundred branches has them, and that it has come to the last row.

    Otherwise it would add up all that was filled in while something else is
    measured, for a quarter of an hour with five million certificates.
    """
    today = day_of(now)
    begins = {
        Tally.ENDS: [today + n * DAY for n in range(365)],
        Tally.LOCKOUTS: [today - n * DAY for n in range(14)],
        Tally.LOGONS: [today + n * HOUR for n in range(-24, 24)],
        Tally.ACQUISITIONS: [today + n * HOUR for n in range(-24, 24)],
    }
    rows = [
        {"what": what.value, "bank": bank, "begins_at": at, "branch": f"{branch:03}", "number": 10}
        for what, moments in begins.items()
        for at in moments
        for branch in range(1, _BRANCHES + 1)
    ]

    def write(tx: Connection) -> None:
        tx.execute(insert(counts), rows)
        last = tx.scalar(select(func.max(audit.c.id))) or 0
        tallies.advance(tx, tallies.ADDED, last, now, first=True)
        tx.exec_driver_sql("ANALYZE tallies")

    db.write(write)


def hire(bank: BenchBank, ports: Ports, of: Bank) -> dict[Role, Caller]:
    """Give the operations centre somebody of each role, with a certificate and a PIN. The CA runs."""
    hired = {}
    for name, role in _COLLEAGUES:
        made = StaffKey(bank.settings, _LIFE)
        new = NewStaff(name, name, None, [role])
        _, pin = add_staff(ports, bank=of, new=new, issue=made.issue, actor=Actor("bench"))
        if made.certificate is None:
            raise RuntimeError("one of the bank's people without a certificate")
        certificate, key = bank.folder / f"{name}.pem", bank.folder / f"{name}.key.pem"
        chain = (made.certificate, staff_ca(bank.settings).certificate)
        certificate.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in chain))
        key.write_bytes(made.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        port = bank.settings.sites["console"].port
        hired[role] = Caller(port, "127.0.0.1", bank.tls_ca, certificate, key, pin)
    return hired


@dataclass(frozen=True, slots=True)
class Page:
    """A page, whom it is for, and where it lies."""

    name: str
    role: Role
    path: str


def pages_of(people: int, now: datetime) -> list[Page]:
    """Return the pages that could become slow in a bank of so many people, searches of the audit trail by days."""
    contract_id = synthetic.contract_id_of(people // 2)

    def days(first: int, last: int) -> str:
        since, until = (day_of(now) - days * DAY for days in (first, last))
        return urlencode(
            {name: f"{at.astimezone(JAPAN):%Y-%m-%d}" for name, at in (("since", since), ("until", until))}
        )

    return [
        Page("overview", Role.CLERK, "/overview"),
        Page("overview's hours as CSV", Role.CLERK, "/overview/logons.csv"),
        Page("search by ID", Role.CLERK, f"/contracts?q={contract_id[:9]}"),
        Page("search by name", Role.CLERK, "/contracts?q=synthetic"),
        Page("a contract", Role.CLERK, f"/contracts/{contract_id}"),
        Page("audit, a day far back", Role.AUDITOR, f"/audit?{days(90, 90)}"),
        Page("audit, a month", Role.AUDITOR, f"/audit?{days(60, 30)}"),
        Page("audit, a month, what never happened", Role.AUDITOR, f"/audit?action=renewal-ordered&{days(60, 30)}"),
        Page("audit, somebody", Role.AUDITOR, "/audit?staff=clerk"),
    ]


@dataclass
class _Seen:
    """Seconds: the first of each process, all others, and the hellos in turn with them."""

    first: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    hello: list[float] = field(default_factory=list)


class Pages:
    """What was measured so far, by database, size and page."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int, str], _Seen] = defaultdict(_Seen)

    def take(self, bank: BenchBank, hello: Caller, now: datetime) -> None:
        """Take each page again and again, with one caller, at a bank that was just started."""
        peer = _Reader(hello)
        readers = {role: _Reader(caller) for role, caller in bank.staff.items()}
        for reader in readers.values():
            reader.log_on()
        pages = pages_of(bank.people, now)
        try:
            for number in range(1 + _TIMES):
                for page in pages:
                    seen = self._seen[bank.engine, bank.people, page.name]
                    seen.hello.append(peer.seconds("/"))
                    (seen.times if number else seen.first).append(readers[page.role].seconds(page.path))
        finally:
            for reader in (peer, *readers.values()):
                reader.close()

    def result(self) -> list[dict[str, Any]]:
        """Return what came of it, as JSON."""
        return [
            {"page": page, "engine": engine, "certificates": people, **_told(seen)}
            for (engine, people, page), seen in self._seen.items()
        ]


def _told(seen: _Seen) -> dict[str, Any]:
    median, hello = statistics.median(seen.times), statistics.median(seen.hello)
    return {
        "p50_ms": round(median * 1000, 1),
        "slowest_ms": round(max(seen.times) * 1000, 1),
        "first_ms": round(max(seen.first) * 1000, 1),
        "hello_ms": round(hello * 1000, 2),
        "ratio": round(median / hello, 1),
        "goal_ms": GOAL_MS,
    }


class _Reader:
    """One person's browser, with one connection that stays."""

    def __init__(self, caller: Caller) -> None:
        context = ssl.create_default_context(cafile=str(caller.tls_ca))
        if caller.certificate is not None:
            context.load_cert_chain(caller.certificate, caller.key)
        self._pin = caller.pin
        self._http = http.client.HTTPSConnection("localhost", caller.port, context=context, timeout=_PATIENCE_S)
        self._headers: dict[str, str] = {}

    def log_on(self) -> None:
        """Send the PIN of one of the bank's people, and keep the session's cookie."""
        page, cookies = self._ask("GET", "/")
        token = _TOKEN.search(page)
        if token is None:
            raise LoadFailed(f"the form did not come: {page[:200]!r}")
        form = {"content-type": "application/x-www-form-urlencoded", "cookie": cookies}
        body = urlencode({"csrf": token[1], "staff_pin": self._pin})
        _, session = self._ask("POST", "/", body, form, status=303)
        self._headers = {"cookie": f"{cookies}; {session}"}

    def seconds(self, path: str) -> float:
        """Ask for a page and return how long that took."""
        start = time.perf_counter()
        self._ask("GET", path, None, self._headers)
        return time.perf_counter() - start

    def close(self) -> None:
        """End the connection."""
        self._http.close()

    def _ask(
        self,
        method: str,
        path: str,
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        status: int = 200,
    ) -> tuple[str, str]:
        """Return the page and the cookies that came with it. Raises `LoadFailed`."""
        self._http.request(method, path, body, dict(headers or {}))
        answer = self._http.getresponse()
        page = answer.read().decode()
        if answer.status != status:
            raise LoadFailed(f"not what was expected of {path}: {answer.status} {page[:300]!r}")
        given: Sequence[str] = answer.headers.get_all("set-cookie") or []
        return page, "; ".join(found[1] for one in given if (found := _COOKIE.match(one)))
