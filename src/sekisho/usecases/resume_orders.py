"""Finish the orders that a crash or an absent CA left unfinished."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sekisho.domain.errors import KeyReused
from sekisho.store import audit, orders
from sekisho.store.audit import Actor
from sekisho.usecases.finish_order import finish_order

if TYPE_CHECKING:
    from sekisho.usecases.ports import Ports

# Whoever placed a younger order is most likely still at it.
_LEFT_ALONE = timedelta(seconds=30)
_MOST = 1000


def resume_orders(ports: Ports, *, left_alone: timedelta = _LEFT_ALONE) -> int:
    """Finish what was placed longer ago than `left_alone`; return how many orders that were. Raises `CaAway`."""
    now = ports.now()
    with ports.db.read() as tx:
        waiting = orders.unfinished(tx, before=now - left_alone, most=_MOST)
    for placed in waiting:
        try:
            finish_order(ports, placed, actor=Actor(audit.SYSTEM))
        except KeyReused:
            continue  # its leave was taken back, and it is stored as ended now
    return len(waiting)
