"""How the CA is asked for a revocation list: typed fields, and the entries as they were written at each revocation."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sekisho.ca.wire import NO_SHARD, ca_octet, ca_of, moment, seconds

if TYPE_CHECKING:
    from datetime import datetime

    from sekisho.domain.person import Kind

# issuing CA, shard, number, this update, next update; the entries follow
_HEAD = struct.Struct(">BHQqq")


@dataclass(frozen=True, slots=True)
class Asked:
    """Sign the revocation list of one issuing CA: of all that it issued, or of a shard."""

    kind: Kind
    shard: int | None
    entries: bytes
    number: int
    this_update: datetime
    next_update: datetime
    generation: int = 1


def part(asked: Asked) -> bytes:
    """Write it. Raises ValueError or struct.error where it cannot be written."""
    shard = NO_SHARD if asked.shard is None else asked.shard
    dates = seconds(asked.this_update), seconds(asked.next_update)
    return _HEAD.pack(ca_octet(asked.kind, asked.generation), shard, asked.number, *dates) + asked.entries


def read(written: bytes) -> Asked:
    """Read it. Raises ValueError where it says nothing sensible."""
    try:
        octet, shard, number, this_update, next_update = _HEAD.unpack_from(written)
        ca = ca_of(octet)
        return Asked(
            kind=ca.kind,
            shard=None if shard == NO_SHARD else shard,
            entries=written[_HEAD.size :],
            number=number,
            this_update=moment(this_update),
            next_update=moment(next_update),
            generation=ca.generation,
        )
    except (struct.error, IndexError, OverflowError, OSError) as wrong:
        raise ValueError("not a revocation list") from wrong
