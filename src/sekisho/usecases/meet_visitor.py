"""Whoever comes to a secure site, before any secret is asked."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sekisho.usecases.show_certificate import show_certificate

if TYPE_CHECKING:
    from datetime import datetime

    from sekisho.domain.certificate import Certificate
    from sekisho.domain.contract import Bank
    from sekisho.domain.person import Kind
    from sekisho.usecases.ports import Ports


def meet_visitor(
    ports: Ports, *, bank: Bank, kind: Kind, der: bytes | None, grace: timedelta = timedelta(0)
) -> tuple[Certificate, datetime]:
    """Return the visitor's certificate and the moment at which it was found good, or raise why no secret is asked."""
    now = ports.now()
    with ports.db.read() as tx:
        visitor = show_certificate(tx, der, bank=bank.code, kind=kind, now=now, grace=grace)
    visitor.person.check_door()
    return visitor.certificate, now
