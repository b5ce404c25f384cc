"""How the rest of Sekisho asks the CA to sign."""

from __future__ import annotations

from multiprocessing.connection import Client
from typing import TYPE_CHECKING

from sekisho.ca import wire
from sekisho.domain.errors import CaAway

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from sekisho.domain.person import Kind
    from sekisho.pki.crl import Revoked
    from sekisho.pki.profile import Order

_DEADLINE_S = 10.0


class CaRefused(Exception):  # noqa: N818 - names what happened
    """The CA would not sign: what was asked breaks its profile. A bug, never a visitor's mistake."""


class CaClient:
    """Asks on a connection of its own each time, so that a CA that was restarted is simply there again."""

    def __init__(self, socket_file: Path) -> None:
        self._address = str(socket_file)

    def sign_all(self, orders: Sequence[Order]) -> list[bytes | Exception]:
        """Return the DER certificate for each order, or `CaRefused`. Raises `CaAway` where no answer comes in time."""
        outcomes: list[bytes | Exception] = []
        for order in orders:
            try:
                outcomes.append(self._ask(wire.SignOrder(order)))
            except CaRefused as refused:
                outcomes.append(refused)
        return outcomes

    def sign_crl(
        self, kind: Kind, entries: list[Revoked], *, number: int, this_update: datetime, next_update: datetime
    ) -> bytes:
        """Return the DER revocation list. Raises `CaAway` where no answer comes in time."""
        return self._ask(wire.SignCrl(kind, entries, number, this_update, next_update))

    def _ask(self, question: wire.SignOrder | wire.SignCrl) -> bytes:
        try:
            with Client(self._address, family="AF_UNIX") as connection:
                connection.send_bytes(wire.encode(question))
                if not connection.poll(_DEADLINE_S):
                    raise CaAway
                answer = connection.recv_bytes(wire.LONGEST_MESSAGE)
        except (OSError, EOFError) as away:
            raise CaAway from away
        if answer[:1] != b"+":
            raise CaRefused
        return answer[1:]
