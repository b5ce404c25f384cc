"""What the machine could do at best."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sekisho.domain.person import Kind
from sekisho.pki import hierarchy, profile

if TYPE_CHECKING:
    from sekisho.vault.pins import PinHasher


def argon2_rate(pins: PinHasher, verifier: str, pin: str, seconds: float) -> float:
    """Return checks a second with every core at work on nothing else."""
    done = [0] * (os.cpu_count() or 1)
    start = time.perf_counter()

    def check(at: int) -> None:
        while time.perf_counter() - start < seconds:
            pins.verify(verifier, pin)
            done[at] += 1

    threads = [threading.Thread(target=check, args=(at,)) for at in range(len(done))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - start)


def signing_rate(seconds: float) -> float:
    """Return certificates a second that one core builds and signs, stored nowhere."""
    bank = profile.BankName("9990", "Bench Bank")
    now = datetime.now(UTC).replace(microsecond=0)
    made = hierarchy.make(bank, pki_url="http://localhost", now=now, entropy=os.urandom)
    issuing = made.issuing[Kind.USER]
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    addresses = hierarchy.addresses(bank.code, Kind.USER, "http://localhost")
    done = 0
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        order = profile.Order(
            kind=Kind.USER,
            common_name="12345678901keiri019990",
            serial=hierarchy.serial_number(os.urandom),
            spki=spki,
            not_before=now,
            not_after=now + timedelta(days=365),
        )
        builder = profile.person(order, bank, issuer=issuing.certificate, addresses=addresses)
        builder.sign(issuing.key, hashes.SHA256()).public_bytes(Encoding.DER)
        done += 1
    return done / (time.perf_counter() - start)
