"""What the journal's entries say."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime

from sekisho.ca.blocks import JournalBroken
from sekisho.domain.certificate import Reason
from sekisho.domain.person import Kind

_KINDS = list(Kind)
_REASONS = list(Reason)
_CERTIFIED, _REVOKED, _LISTED, _ERASED = 1, 2, 3, 4
# kind, serial, when it was signed, end of its life, slot of the contract's key, SHA-256 of the certificate
_CLEAR = struct.Struct(">BB16sqqI32s")
_ENDING = struct.Struct(">BB16sqB")
# kind, number, this update, next update, SHA-256 of the list
_LIST = struct.Struct(">BBQqq32s")
_ERASURE = struct.Struct(">BIq")


@dataclass(frozen=True, slots=True)
class Certified:
    """A certificate that was signed. `sealed` can be read while the contract's key in `slot` is there."""

    kind: Kind
    serial: int
    signed_at: datetime
    not_after: datetime
    slot: int
    sha256: bytes
    sealed: bytes = b""

    @property
    def clear(self) -> bytes:
        """What anybody may know of it, and what the seal is bound to."""
        return _CLEAR.pack(
            _CERTIFIED,
            _KINDS.index(self.kind),
            self.serial.to_bytes(16),
            int(self.signed_at.timestamp()),
            int(self.not_after.timestamp()),
            self.slot,
            self.sha256,
        )


@dataclass(frozen=True, slots=True)
class Ended:
    """A certificate that a revocation list named."""

    kind: Kind
    serial: int
    at: datetime
    reason: Reason


@dataclass(frozen=True, slots=True)
class Listed:
    """A revocation list that was signed."""

    kind: Kind
    number: int
    this_update: datetime
    next_update: datetime
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Erased:
    """A contract's key was destroyed."""

    slot: int
    at: datetime


Entry = Certified | Ended | Listed | Erased


def write_entry(entry: Entry) -> bytes:
    """Write an entry."""
    if isinstance(entry, Certified):
        return entry.clear + entry.sealed
    if isinstance(entry, Ended):
        kind, reason = _KINDS.index(entry.kind), _REASONS.index(entry.reason)
        return _ENDING.pack(_REVOKED, kind, entry.serial.to_bytes(16), int(entry.at.timestamp()), reason)
    if isinstance(entry, Listed):
        return _LIST.pack(
            _LISTED,
            _KINDS.index(entry.kind),
            entry.number,
            int(entry.this_update.timestamp()),
            int(entry.next_update.timestamp()),
            entry.sha256,
        )
    return _ERASURE.pack(_ERASED, entry.slot, int(entry.at.timestamp()))


def read_entry(data: bytes) -> Entry:
    """Read an entry. Raises `JournalBroken` where it is none of this version's."""
    try:
        if data[0] == _CERTIFIED:
            _, kind, serial, signed_at, not_after, slot, sha256 = _CLEAR.unpack_from(data)
            sealed = data[_CLEAR.size :]
            number = int.from_bytes(serial)
            return Certified(_KINDS[kind], number, moment(signed_at), moment(not_after), slot, sha256, sealed)
        if data[0] == _REVOKED:
            _, kind, serial, at, reason = _ENDING.unpack(data)
            return Ended(_KINDS[kind], int.from_bytes(serial), moment(at), _REASONS[reason])
        if data[0] == _LISTED:
            _, kind, number, this_update, next_update, sha256 = _LIST.unpack(data)
            return Listed(_KINDS[kind], number, moment(this_update), moment(next_update), sha256)
        if data[0] == _ERASED:
            _, slot, at = _ERASURE.unpack(data)
            return Erased(slot, moment(at))
    except (struct.error, IndexError, OverflowError, OSError, ValueError) as wrong:
        raise JournalBroken("an entry of the journal cannot be read") from wrong
    raise JournalBroken("an entry of the journal is of another version")


def moment(seconds: int) -> datetime:
    """Return a moment that is kept in seconds."""
    return datetime.fromtimestamp(seconds, UTC)
