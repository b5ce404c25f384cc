"""Finish the orders that a crash or an absent CA left unfinished."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sekisho.domain.errors import KeyReused, SigningRefused
from sekisho.store import audit, orders
from sekisho.store.audit import Actor
from sekisho.usecases.finish_order import Unfinished, finish_orders

if TYPE_CHECKING:
    from sekisho.usecases.ports import Ports

# Whoever placed a younger order is most likely still at it.
_LEFT_ALONE = timedelta(seconds=30)
_MOST = 250


@dataclass(frozen=True, slots=True)
class Resumed:
    """How many orders have their certificate now, and how many the CA refused, which ended them."""

    finished: int = 0
    refused: int = 0

    @property
    def done(self) -> int:
        """How many wait no longer."""
        return self.finished + self.refused


def resume_orders(ports: Ports, *, left_alone: timedelta = _LEFT_ALONE) -> Resumed:
    """Finish what was placed longer ago than `left_alone`, as many as go at once. Raises `CaAway`."""
    now = ports.now()
    with ports.db.read() as tx:
        waiting = orders.unfinished(tx, before=now - left_alone, most=_MOST)
    outcomes = finish_orders(ports, [Unfinished(placed, Actor(audit.SYSTEM)) for placed in waiting])
    for outcome in outcomes:
        # One whose leave was taken back is stored as ended now.
        if isinstance(outcome, Exception) and not isinstance(outcome, KeyReused | SigningRefused):
            raise outcome
    refused = sum(isinstance(outcome, SigningRefused) for outcome in outcomes)
    return Resumed(len(waiting) - refused, refused)
