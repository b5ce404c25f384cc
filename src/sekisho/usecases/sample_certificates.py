"""A sample of what was issued lately is shown to somebody else's linter."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sekisho.pki import second_opinion
from sekisho.store import audit, certificates

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sekisho.domain.certificate import IssuedCertificate
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports

log = logging.getLogger("sekisho")
LATELY = timedelta(hours=2)
SAMPLE = 10
_AMONG = 1000


@dataclass(frozen=True, slots=True)
class Faulty:
    """A certificate that was issued, and the codes of what the linter says against it."""

    certificate: IssuedCertificate
    findings: tuple[str, ...]


def sample_certificates(
    ports: Ports, *, actor: Actor, lately: timedelta | None = LATELY, most: int = SAMPLE
) -> tuple[int, list[Faulty]]:
    """Look at some certificates by chance, of those issued lately (None: of the newest, however old).

    Return how many were looked at, and the faulty ones, each with an audit row
    and a line in the log: what is out cannot be taken back by itself.
    """
    now = ports.now()
    with ports.db.read() as tx:
        newest = certificates.newest(tx, None if lately is None else now - lately, _AMONG)
        # By chance drawn from the system's randomness: nobody can tell which ones are looked at.
        drawn = random.SystemRandom().sample(newest, min(most, len(newest)))
        looked_at = certificates.issued_of(tx, drawn)
    faulty = []
    for one in looked_at:
        if findings := second_opinion.of_certificate(one.der):
            faulty.append(Faulty(one, tuple(findings)))
            log.critical("certificate %032x breaks rules: %s", one.serial, ", ".join(findings))

    def note(tx: Connection) -> None:
        for one in faulty:
            audit.add(
                tx,
                "certificate-faulty",
                actor,
                at=now,
                who=one.certificate.person,
                serial=one.certificate.serial,
                rules=", ".join(one.findings),
            )

    if faulty:
        ports.db.write(note)
    return len(looked_at), faulty
