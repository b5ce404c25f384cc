"""Keep each issuing CA's revocation list fresh."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sekisho.domain.person import Kind
from sekisho.store import certificates, crls
from sekisho.store.crls import PublishedCrl

if TYPE_CHECKING:
    from sekisho.usecases.ports import Ports

LIFE = timedelta(days=1)
_RENEW_AFTER = timedelta(hours=1)


def publish_crls(ports: Ports, *, bank: str) -> int:
    """Sign and publish the lists that are older than an hour or lack a revocation; return how many."""
    return sum(_publish(ports, bank, kind) for kind in Kind)


def _publish(ports: Ports, bank: str, kind: Kind) -> bool:
    now = ports.now().replace(microsecond=0)
    with ports.db.read() as tx:
        last = crls.find(tx, bank, kind)
        if last is not None and now - last.this_update < _RENEW_AFTER:
            newest = certificates.last_revocation(tx, bank, kind)
            if newest is None or newest < last.this_update:
                return False
        entries = certificates.revoked_and_unexpired(tx, bank, kind, now)
    # A number grows for ever, through restarts and restores (RFC 5280 section
    # 5.2.3): the clock gives one that no restored table can fall behind.
    number = max(int(now.timestamp()), 0 if last is None else last.number + 1)
    der = ports.cas[bank].sign_crl(kind, entries, number=number, this_update=now, next_update=now + LIFE)
    published = PublishedCrl(number, der, now, now + LIFE)
    return ports.db.write(lambda tx: crls.save(tx, bank, kind, published))
