"""After a renewal two certificates count for a while; the overlap has an end even if the new one is never used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.certificate import Ending, Reason
from sekisho.store import audit, certificates
from sekisho.store.audit import Actor
from sekisho.usecases.end_certificate import end_certificate

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank
    from sekisho.usecases.ports import Ports

_MOST = 1000


def end_overlaps(ports: Ports, *, bank: Bank) -> int:
    """Supersede the certificates whose successor was issued longer ago than the overlap; return how many."""
    now = ports.now()

    def end_all(tx: Connection) -> int:
        over = certificates.with_overlap_over(tx, now - bank.policy.overlap, _MOST)
        for certificate in over:
            end_certificate(
                tx,
                certificate,
                ending=Ending.SUPERSEDED,
                reason=Reason.SUPERSEDED,
                actor=Actor(audit.SYSTEM),
                now=now,
            )
        return len(over)

    return ports.db.write(end_all)
