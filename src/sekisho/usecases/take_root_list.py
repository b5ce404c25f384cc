"""Take a revocation list of the root: publish it, and end at once what the issuing CAs that it names have signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.pki import hierarchy
from sekisho.store import audit, crls, revoked_cas
from sekisho.store.crls import PublishedList

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.issuing_ca import IssuingCa
    from sekisho.pki.root_list import RootList
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports

# The column is for lists whose entries are looked at to see whether they are complete; the root's comes whole.
_WHOLE = b""


def take_root_list(
    ports: Ports, *, bank: str, found: RootList, issuing: Mapping[int, IssuingCa], actor: Actor
) -> list[IssuingCa]:
    """Take a list whose signature was checked, and return the issuing CAs that it has just revoked.

    `issuing` are the bank's issuing CAs by the serial numbers of their
    certificates. What a list names is never taken back, so an older list
    may be taken again: it is not published, and changes nothing else.
    """
    now = ports.now()

    def take(tx: Connection) -> list[IssuingCa]:
        published = PublishedList(found.number, found.this_update, found.next_update, _WHOLE)
        if crls.save(tx, bank, hierarchy.ROOT, published, found.der):
            audit.add_of_bank(
                tx,
                "root-list-taken",
                actor,
                at=now,
                bank=bank,
                number=found.number,
                until=found.next_update.isoformat(),
            )
        revoked = []
        for one in found.revoked:
            ca = issuing.get(one.serial)
            if ca is None or not revoked_cas.note(tx, bank, ca, one.serial, (one.at, one.reason), now):
                continue
            audit.add_of_bank(
                tx,
                "issuing-ca-revoked",
                actor,
                at=now,
                bank=bank,
                serial=one.serial,
                issuing_ca=ca.name,
                reason=one.reason.value,
                since=one.at.isoformat(),
            )
            revoked.append(ca)
        return revoked

    return ports.db.write(take)


def ends_of_root_list(ports: Ports, *, bank: str) -> datetime | None:
    """Return until when the root's list is good, or None where there is none."""
    with ports.db.read() as tx:
        last = crls.find(tx, bank, hierarchy.ROOT)
    return None if last is None else last.next_update
