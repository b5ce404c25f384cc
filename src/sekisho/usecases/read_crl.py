"""The revocation lists in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.store import crls

if TYPE_CHECKING:
    from sekisho.store.crls import PublishedList
    from sekisho.usecases.ports import Ports


def read_crl(ports: Ports, *, bank: str, name: str) -> PublishedList | None:
    """Return what is known of a published list, or None where none was signed yet."""
    with ports.db.read() as tx:
        return crls.find(tx, bank, name)


def read_crl_bytes(ports: Ports, *, bank: str, name: str, number: int) -> bytes | None:
    """Return the bytes of the list with that number, or None where another has taken its place."""
    with ports.db.read() as tx:
        return crls.der_of(tx, bank, name, number)
