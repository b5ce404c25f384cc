"""A bank of the bench's own: a data folder, a database full of people, and what is done with them."""

from __future__ import annotations

import base64
import multiprocessing
import os
import random
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from argon2 import PasswordHasher
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from sqlalchemy import update

from sekisho import wiring
from sekisho.bench import issuing, pages, synthetic, token
from sekisho.bench.load import Caller, Outcome
from sekisho.ca import child, keys
from sekisho.cli import demo, installation, running
from sekisho.domain.contract import Bank
from sekisho.domain.policy import Policy
from sekisho.domain.secret import SecretName
from sekisho.pki.csr import Csr
from sekisho.settings import DATABASE_URL, CaSettings, Settings, on_localhost
from sekisho.store.bulk import OfMany
from sekisho.store.tables import notices, secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sekisho.domain.staff import Role
    from sekisho.usecases.ports import Ports

BANK = Bank(
    code="9990",
    name={"ja": "見本信用金庫", "en": "Mihon Shinkin Bank"},
    service_name={"ja": "みほんビジネスバンキング", "en": "Mihon Business Banking"},
    help_desk_phone="0120-000-000",
    help_desk_hours={"ja": "平日 9:00〜17:00", "en": "Weekdays 9:00 to 17:00"},
    policy=Policy(),
)
PIN, CONFIRMATION_PIN = "bench1aa", "bench2bb"
_READY_S = 120.0
PORTS = 6
_AT_ONCE = 32
_LAST_DAYS = timedelta(days=10)
_EST = f"/.well-known/est/{BANK.code}/simpleenroll"
_EST_RENEWAL = f"/.well-known/est/{BANK.code}/simplereenroll"


@dataclass(eq=False)
class Served:
    """A bank that is being served: the process that was started, and those that it has started."""

    pid: int

    def processes(self) -> dict[str, list[int]]:
        """Return the processes by what they are."""
        found: dict[str, list[int]] = {"supervisor": [self.pid], "worker": [], "ca": []}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(FileNotFoundError, ProcessLookupError):
                if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) != self.pid:
                    continue
                command = (folder / "cmdline").read_bytes()
                if b"spawn_main" in command:
                    found["worker"].append(int(folder.name))
                elif b"\0ca\0" in command:
                    found["ca"].append(int(folder.name))
        return found


@dataclass(eq=False)
class BenchBank:
    """One bank on one database: `engine` is "sqlite" or "postgresql", `people` how many have a certificate."""

    folder: Path
    engine: str
    people: int
    url: str | None
    base: int
    settings: Settings = field(init=False)
    tls_ca: Path = field(init=False)
    users: list[Caller] = field(init=False, default_factory=list)
    # Whose certificate ends soon, by their row, with it and its key: each renews once, so many in one measurement.
    ending: list[tuple[int, Path, Path]] = field(init=False, default_factory=list)
    renewals: int = field(init=False, default=0)
    cheap: frozenset[int] = field(init=False, default=frozenset())
    # The bank's own people, by their role.
    staff: dict[Role, Caller] = field(init=False, default_factory=dict)
    # What a CA runs with whose keys are in a token; None where SoftHSM is not installed.
    in_token: Settings | None = field(init=False, default=None)

    def set_up(self, callers: int, renewals: int, measurements: int, say: Callable[[str], None]) -> None:
        """Make it, fill it, and give so many of its users a certificate of which they hold the key.

        Of so many more the certificate ends soon, and the PIN is checked at
        argon2's least cost: what a renewal costs besides the PIN is to be seen.
        """
        self.folder.mkdir()
        made = on_localhost(self.folder / "bank", BANK.code, BANK.name["en"], self.base)
        self.settings = made.model_copy(update={"database_url": self.url})
        installation.set_up(self.settings, BANK)
        self.tls_ca = demo.make_server_certificate(self.settings)
        running.make_run_folder(self.settings)
        if token.available():
            self.in_token = token.make_twin(self.settings, self.folder / "token")
        pins = {SecretName.PIN: PIN, SecretName.CONFIRMATION_PIN: CONFIRMATION_PIN}
        with wiring.open_ports(self.settings) as ports:
            verifiers = {name.value: ports.pins.hash(pin) for name, pin in pins.items()}
            now = ports.now()
        started = time.monotonic()
        db = wiring.open_store(self.settings)
        try:
            synthetic.fill(
                db,
                self.people,
                bank=BANK.code,
                verifiers=verifiers,
                der=os.urandom(800),
                spki=os.urandom(91),
                now=now,
                say=say,
            )
            pages.count(db, BANK.code, now)
        finally:
            db.close()
        say(f"{self.people:,} certificates in {self.engine} after {time.monotonic() - started:.0f} s")
        with self.ca(), wiring.open_ports(self.settings) as ports:
            self.staff = pages.hire(self, ports, BANK)
            certified = self._certify(ports, callers, renewals * measurements)
            port = self.settings.sites["user"].port
            self.users = [
                Caller(port, _address(at), self.tls_ca, certificate, key, PIN)
                for at, (_, certificate, key) in enumerate(certified[:callers])
            ]
            self.ending = certified[callers:]
            self.cheap = frozenset(person for person, _, _ in self.ending)
            self.renewals = len(self.ending) // measurements
            _check_in_no_time(ports, [person for person, _, _ in self.ending])

    @property
    def authority(self) -> bytes:
        """The issuing CA for users, as DER."""
        return keys.load_certificate(self.settings.ca_dir, "user").public_bytes(Encoding.DER)

    @contextmanager
    def ca(self, *, in_token: bool = False) -> Iterator[Settings]:
        """Have the CA's process, or the one with its keys in a token, run while nothing is served.

        Returns the settings with which it is asked.
        """
        asked, data_dir = self.settings, self.settings.data_dir
        if in_token and self.in_token is not None:
            asked = asked.model_copy(update={"ca": CaSettings(socket=self.in_token.ca_socket)})
            data_dir = self.in_token.data_dir
        with child.running(child.command(data_dir)):
            yield asked

    @contextmanager
    def serving(self, workers: int) -> Iterator[Served]:
        """Serve it as an operator would."""
        environment = {name: value for name, value in os.environ.items() if name != DATABASE_URL}
        if self.url is not None:
            environment[DATABASE_URL] = self.url
        argv = [sys.executable, "-m", "sekisho", "serve", "--data-dir", str(self.settings.data_dir)]
        log = self.folder / "log"
        with log.open("wb") as written:
            process = subprocess.Popen(
                [*argv, "--workers", str(workers)], stdin=subprocess.DEVNULL, stdout=written, stderr=written,
                env=environment,
            )  # fmt: skip
        try:
            deadline = time.monotonic() + _READY_S
            while "every site answers" not in log.read_text("utf-8", "replace"):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the bench's bank was not served:\n{log.read_text('utf-8', 'replace')}")
                time.sleep(0.05)
            yield Served(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_READY_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def issue(self, processes: int, callers: int, seconds: float, *, in_token: bool = False) -> Outcome:
        """Have so many callers, in so many processes, issue to people all over the bank for so long."""
        of_each = min(self.people // processes, int(3000 * seconds))
        people = random.sample(range(1, self.people + 1), of_each * processes)
        spawn = multiprocessing.get_context("spawn")
        pipes = []
        started = []
        with self.ca(in_token=in_token) as asked:
            for at in range(processes):
                mine, theirs = spawn.Pipe()
                share = people[at * of_each : (at + 1) * of_each]
                what = (theirs, asked, share, callers // processes, seconds)
                process = spawn.Process(target=issuing.be_issuer, args=what, daemon=True)
                process.start()
                theirs.close()
                pipes.append(mine)
                started.append(process)
            try:
                for pipe in pipes:
                    issuing.told(pipe, _READY_S)
                for pipe in pipes:
                    pipe.send("go")
                reports = [issuing.told(pipe, seconds + _READY_S) for pipe in pipes]
            finally:
                for pipe in pipes:
                    pipe.close()
                for process in started:
                    process.join(_READY_S)
                    process.kill()
        self.tidy()
        times = sorted(taken for report in reports for taken in report["times"])
        return Outcome(sum(report["rate"] for report in reports), times)

    def enrolling(self, callers: int, each: int) -> list[Caller]:
        """Return callers without a certificate, with so many people's requests prepared for each."""
        # Those whose PIN is checked in no time would enroll for the price of one check instead of two.
        some = random.sample(range(1, self.people + 1), min(self.people, callers * each + len(self.cheap)))
        people = [person for person in some if person not in self.cheap][: callers * each]
        with wiring.open_ports(self.settings) as ports:
            issuing.grant(ports, people)
        port = self.settings.sites["public"].port
        return [
            Caller(
                *(port, _address(at), self.tls_ca),
                path=_EST,
                bodies=[_request(one, f"{PIN}:{CONFIRMATION_PIN}") for one in people[at::callers]],
            )
            for at in range(callers)
        ]

    def renewing(self, callers: int) -> list[Caller]:
        """Return callers with the renewals of one measurement, each of another person; nobody renews twice."""
        mine, self.ending = self.ending[: self.renewals], self.ending[self.renewals :]
        port = self.settings.sites["user"].port
        return [
            Caller(
                *(port, _address(at), self.tls_ca),
                path=_EST_RENEWAL,
                bodies=[_request(person, PIN) for person, _, _ in mine[at::callers]],
                holders=[(certificate, key) for _, certificate, key in mine[at::callers]],
            )
            for at in range(callers)
        ]

    def tidy(self) -> None:
        """Take away what would go on being worked at: notices that wait to be mailed."""
        with wiring.open_ports(self.settings) as ports:
            ports.db.write(
                lambda tx: tx.execute(
                    update(notices).where(notices.c.mail_due_at.is_not(None)).values(mail_due_at=None)
                )
            )

    def _certify(self, ports: Ports, lasting: int, ending: int) -> list[tuple[int, Path, Path]]:
        """Give users all over the bank a certificate more, which of the last of them ends soon.

        Returns their rows, certificates and keys.
        """
        users = [number for number in range(1, self.people + 1) if synthetic.user_id_of(number)]
        count = min(lasting + ending, len(users))
        chosen = random.sample(users, count)
        issuing.grant(ports, chosen)
        known = issuing.secrets_of(ports, chosen)

        def certify(at: int, person: int) -> tuple[int, Path, Path]:
            key = ec.generate_private_key(ec.SECP256R1())
            spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            life = issuing.LIFE if at < lasting else _LAST_DAYS
            issued = issuing.issue(ports, person, known[person], Csr(spki), life=life)
            certificate, private = self.folder / f"{at}.pem", self.folder / f"{at}.key.pem"
            certificate.write_bytes(x509.load_der_x509_certificate(issued.der).public_bytes(Encoding.PEM))
            private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            return person, certificate, private

        with ThreadPoolExecutor(_AT_ONCE) as threads:
            certified = list(threads.map(certify, range(count), chosen))
        self.tidy()
        return certified


def _address(number: int) -> str:
    """Return an address for each caller: whoever shares one waits for the others at the public site."""
    return f"127.0.{1 + number // 200}.{1 + number % 200}"


def _check_in_no_time(ports: Ports, people: Sequence[int]) -> None:
    """Have people's PINs be checked at argon2's least cost: each verifier says its own."""
    pins = copy(ports.pins)
    pins._argon2 = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)  # noqa: SLF001 - nobody else may weaken it
    verifier = pins.hash(PIN)
    pins_of = OfMany(
        lambda among: (
            update(secrets)
            .where(among(secrets.c.person_id, "people"), secrets.c.name == SecretName.PIN.value)
            .values(verifier=verifier)
        )
    )
    for at in range(0, len(people), 1000):
        ports.db.write(partial(pins_of.run, values={"people": people[at : at + 1000]}))


def _request(person: int, password: str) -> tuple[str, bytes]:
    """Return a person's EST request for a new key, as headers and body."""
    who = issuing.whose(person)
    name = who.contract_id if who.user_id is None else f"{who.contract_id}/{who.user_id}"
    credentials = base64.b64encode(f"{name}:{password}".encode()).decode()
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = csr.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    headers = f"authorization: Basic {credentials}\r\ncontent-type: application/pkcs10\r\n"
    return headers, base64.b64encode(signed.public_bytes(Encoding.DER))


def free_ports(count: int) -> int:
    """Return the first of so many ports in a row that are free now."""
    # In the second half of each hundred, where no test looks for any; the ports that the kernel gives away lie above.
    for base in range(21_050, 32_000, 100):
        sockets: list[socket.socket] = []
        try:
            for port in range(base, base + count):
                sockets.append(socket.socket())
                sockets[-1].bind(("127.0.0.1", port))
        except OSError:
            continue
        else:
            return base
        finally:
            for one in sockets:
                one.close()
    raise RuntimeError("no free ports")
