"""The revocation list in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.store import crls

if TYPE_CHECKING:
    from sekisho.domain.person import Kind
    from sekisho.store.crls import PublishedCrl
    from sekisho.usecases.ports import Ports


def read_crl(ports: Ports, *, bank: str, kind: Kind) -> PublishedCrl | None:
    """Return the published list of one issuing CA, or None where none was signed yet."""
    with ports.db.read() as tx:
        return crls.find(tx, bank, kind)
