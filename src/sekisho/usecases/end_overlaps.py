"""After a renewal two certificates count for a while; the overlap has an end even if the new one is never used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.certificate import Ending, Reason
from sekisho.store import audit, people, successors
from sekisho.store.audit import Actor
from sekisho.usecases.end_certificate import end_certificate

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank
    from sekisho.usecases.ports import Ports

_MOST = 1000


def end_overlaps(ports: Ports, *, bank: Bank) -> int:
    """Supersede the certificates whose successor has counted for longer than the overlap; return how many.

    One that is suspended, or whose issuing CA is revoked, opens no door, and
    takes nobody's place.
    """
    now = ports.now()
    counted_before = now - bank.policy.overlap
    with ports.db.read() as tx:
        whose = successors.people_with_overlap_over(tx, bank.code, counted_before, _MOST)
    if not whose:
        return 0

    def end_all(tx: Connection) -> int:
        people.lock(tx, whose)
        # The successor may have been suspended or ended until here.
        over = successors.with_overlap_over(tx, whose, counted_before)
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
