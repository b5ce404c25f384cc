"""Issuance through the use case, below the PIN check: the permit is spent, the CA's process signs, the rest is stored.

It runs in processes of its own, each with callers of its own, as the workers
of a node would: what comes at once is served together.
"""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sekisho import wiring
from sekisho.bench import synthetic
from sekisho.domain.certificate import KeyHeld
from sekisho.domain.person import PersonId
from sekisho.domain.secret import SecretName
from sekisho.pki.csr import Csr
from sekisho.store import audit, bulk, secrets
from sekisho.store.tables import permits
from sekisho.usecases import acquire_certificate
from sekisho.usecases.place_orders import request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from multiprocessing.connection import Connection as Pipe

    from sekisho.domain.certificate import IssuedCertificate
    from sekisho.settings import Settings
    from sekisho.usecases.ports import Ports

_ADDRESS = "192.0.2.1"
LIFE = timedelta(days=365)
_WINDOW = timedelta(days=14)
_BANK = "9990"
Known = dict[SecretName, secrets.Secret]


def whose(person: int) -> PersonId:
    """Return who a synthetic person's row is."""
    return PersonId(_BANK, synthetic.contract_id_of(person), synthetic.user_id_of(person))


def grant(ports: Ports, people: Sequence[int]) -> None:
    """Grant each a permit."""
    now = ports.now()
    rows = [{"person_id": one, "granted_at": now, "expires_at": now + _WINDOW, "misses": 0} for one in people]
    ports.db.write(lambda tx: bulk.add(tx, permits, rows))


def secrets_of(ports: Ports, people: Sequence[int]) -> Mapping[int, Known]:
    """Return what the people's PINs were checked against."""
    with ports.db.read() as tx:
        found: dict[int, Known] = {}
        for at in range(0, len(people), 1000):
            found |= secrets.of_people(tx, people[at : at + 1000], (SecretName.PIN, SecretName.CONFIRMATION_PIN))
        return found


def issue(ports: Ports, person: int, known: Known, csr: Csr, *, life: timedelta = LIFE) -> IssuedCertificate:
    """Do what `acquire_certificate` does once both PINs were found right."""
    who = whose(person)
    wanted = request(
        person,
        who,
        csr,
        held=KeyHeld.FILE,
        actor=audit.actor_of(who, _ADDRESS),
        life=life,
        now=ports.now(),
        entropy=ports.entropy,
    )
    proven = acquire_certificate._Proven(known, wanted)  # noqa: SLF001 - the step below the PIN check has no other name
    return ports.crowd.serve(acquire_certificate._issue, ports, proven)  # noqa: SLF001 - the same


def told(pipe: Pipe, patience_s: float) -> Any:
    """Return what a process says. Raises RuntimeError where it does not, or says that it failed."""
    if not pipe.poll(patience_s):
        raise RuntimeError("an issuing process says nothing")
    said = pipe.recv()
    if isinstance(said, dict) and said.get("failed"):
        raise RuntimeError(f"an issuance failed: {said['failed']}")
    return said


def be_issuer(pipe: Pipe, settings: Settings, people: Sequence[int], callers: int, seconds: float) -> None:
    """Prepare, say so, wait for "go", issue, and tell the rate and each one's time."""
    with wiring.open_ports(settings) as ports:
        grant(ports, people)
        known = secrets_of(ports, people)
        waiting = iter([(person, known[person], Csr(new_spki())) for person in people])
        for _ in range(callers):
            issue(ports, *next(waiting))
        pipe.send("ready")
        pipe.recv()
        pipe.send(_issue_all(ports, waiting, callers, seconds))


def _issue_all(ports: Ports, waiting: Any, callers: int, seconds: float) -> dict[str, Any]:
    times: list[float] = []
    failed: list[str] = []
    lock = threading.Lock()
    start = time.perf_counter()

    def repeat() -> None:
        now = time.perf_counter()
        try:
            while now - start < seconds:
                with lock:
                    one = next(waiting, None)
                if one is None:
                    return
                before = now
                issue(ports, *one)
                now = time.perf_counter()
                times.append(now - before)
        except Exception as failure:  # noqa: BLE001 - told to whoever measures
            failed.append(repr(failure))

    threads = [threading.Thread(target=repeat) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = len(times) / (time.perf_counter() - start)
    return {"times": times, "rate": rate, "failed": failed[0] if failed else None}


def new_spki() -> bytes:
    """Return a new public key as DER."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
