"""Keep each issuing CA's revocation lists fresh: the undivided one, and one for each shard."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sekisho.domain.issuing_ca import FIRST_CAS
from sekisho.domain.person import Kind
from sekisho.pki.crl import list_name
from sekisho.store import crl_entries, crls
from sekisho.store.crls import PublishedList

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from sekisho.domain.issuing_ca import IssuingCa
    from sekisho.usecases.ports import Ports

LIFE = timedelta(days=1)
_RENEW_AFTER = timedelta(hours=1)
# For how long what has expired stays where a look at the last list cannot tell, and where it is not removed yet.
_KEPT = timedelta(days=10)
_REMOVED_AT_ONCE = 250


def publish_crls(ports: Ports, *, bank: str, shards: int = 1, issuing_cas: Sequence[IssuingCa] = FIRST_CAS) -> int:
    """Sign and publish the lists that are older than an hour or lack what has changed; return how many.

    `shards` is in how many parts what is issued now is divided, 1 for none.
    """
    wanting = list(_wanting(ports, bank, shards, issuing_cas))
    published = sum(_publish(ports, bank, ca, shard) for ca, shard in wanting)
    for kind in Kind:
        _remove_expired(ports, bank, kind)
    return published


def _wanting(
    ports: Ports, bank: str, shards: int, issuing_cas: Sequence[IssuingCa]
) -> Iterator[tuple[IssuingCa, int | None]]:
    """Return the lists that are to be made anew."""
    now = ports.now()
    with ports.db.read() as tx:
        last = crls.all_of(tx, bank)
        fresh = {name: one.this_update for name, one in last.items() if not _is_due(one, now)}
        changes = crl_entries.changed_since(tx, bank, list(Kind), min(fresh.values(), default=now))
    for ca in issuing_cas:
        of_ca = [one for one in changes if one.ca == ca]
        for shard in (None, *_shards(ca, last, shards)):
            name = list_name(ca, shard)
            if name not in fresh or crl_entries.lately(of_ca, shard, until=fresh[name]) != last[name].lately:
                yield ca, shard


def _shards(ca: IssuingCa, names: Iterable[str], shards: int) -> list[int]:
    """Return every shard that a certificate may name: there may have been more of them before."""
    prefix = f"{ca.name}-"
    before = {int(name.removeprefix(prefix)) for name in names if name.startswith(prefix)}
    return sorted(before.union(range(shards) if shards > 1 else ()))


def _publish(ports: Ports, bank: str, ca: IssuingCa, shard: int | None) -> bool:
    now = ports.now().replace(microsecond=0)
    name = list_name(ca, shard)
    with ports.db.read() as tx:
        last = crls.find(tx, bank, name)
        # What expired stays for one list past its end (RFC 5280 section 3.3).
        since = now - _KEPT if last is None else min(last.this_update, now)
        entries = crl_entries.joined(tx, bank, ca, shard, since=since, now=now)
        changes = [one for one in crl_entries.changed_since(tx, bank, [ca.kind], now) if one.ca == ca]
    # A number grows for ever, through restarts and restores (RFC 5280 section
    # 5.2.3): the clock gives one that no restored table can fall behind.
    number = max(int(now.timestamp()), 0 if last is None else last.number + 1)
    signed = ports.cas[bank].sign_crl(
        ca.kind,
        shard,
        entries,
        number=number,
        this_update=now,
        next_update=now + LIFE,
        generation=ca.generation,
    )
    published = PublishedList(number, now, now + LIFE, crl_entries.lately(changes, shard, until=now))
    return ports.db.write(lambda tx: crls.save(tx, bank, name, published, signed))


def _is_due(last: PublishedList, now: datetime) -> bool:
    """Tell whether a list is old, or from the future: made before the clock was set back, and with dates of then."""
    return not timedelta(0) <= now - last.this_update < _RENEW_AFTER


def _remove_expired(ports: Ports, bank: str, kind: Kind) -> None:
    """Remove what no list names any more, some at each time."""
    with ports.db.read() as tx:
        old = crl_entries.expired(tx, bank, kind, ports.now() - _KEPT, _REMOVED_AT_ONCE)
    if old:
        ports.db.write(lambda tx: crl_entries.remove(tx, old))
