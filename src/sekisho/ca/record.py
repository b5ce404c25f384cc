"""What the CA's journal tells those who compare it with the database, and how that goes over the socket."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sekisho.ca import wire
from sekisho.domain.certificate import Reason
from sekisho.domain.person import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE = 200
_KINDS = list(Kind)
_REASONS = list(Reason)
# kind, serial, when it was signed, SHA-256, when it ended (0 where it did not), reason, whether it can be read
_ROW = struct.Struct(">B16sq32sqB?")
_ENDED = struct.Struct(">B16sqB")
_LATEST = struct.Struct(">?B16s")
# whether there was something, until when it is kept (0 where it is not)
_ERASURE = struct.Struct(">?q")


@dataclass(frozen=True, slots=True)
class Recorded:
    """A certificate as the journal has it; `der` is None where its contract was erased.

    `ended_at` and `reason` are those that the journal was told of first.
    """

    kind: Kind
    serial: int
    signed_at: datetime
    sha256: bytes
    der: bytes | None
    ended_at: datetime | None = None
    reason: Reason | None = None

    @property
    def key(self) -> tuple[Kind, int]:
        """What the journal is ordered by."""
        return self.kind, self.serial


@dataclass(frozen=True, slots=True)
class EndedRecord:
    """A certificate that the journal knows to have ended."""

    kind: Kind
    serial: int
    at: datetime
    reason: Reason

    @property
    def key(self) -> tuple[Kind, int]:
        """What the journal is ordered by."""
        return self.kind, self.serial


@dataclass(frozen=True, slots=True)
class Latest:
    """One of the last things that the journal noted: a certificate that was signed, or that one had ended."""

    ended: bool
    kind: Kind
    serial: int


class StillKept(Exception):  # noqa: N818 - names what was found
    """The contract has to be kept for longer; `until` is when it may be erased at the earliest."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"the contract is kept until {until.isoformat()} at least")
        self.until = until


def write_contract(bank: str, contract_id: str) -> bytes:
    """Write which contract is to be erased."""
    return f"{bank}/{contract_id}".encode()


def read_contract(data: bytes) -> tuple[str, str]:
    """Read which contract is to be erased. Raises ValueError."""
    bank, _, contract_id = data.decode().partition("/")
    if not contract_id:
        raise ValueError("no contract")
    return bank, contract_id


def write_erasure(*, erased: bool, until: datetime | None = None) -> bytes:
    """Write what came of it; `until` is how long the contract is kept, None where it is not."""
    return _ERASURE.pack(erased, 0 if until is None else math.ceil(until.timestamp()))


def read_erasure(data: bytes) -> bool:
    """Return whether there was anything to erase. Raises `StillKept`, and struct.error."""
    erased, until = _ERASURE.unpack(data)
    if until:
        raise StillKept(wire.moment(until))
    return bool(erased)


def write_rows(rows: Sequence[Recorded]) -> bytes:
    """Write certificates; never nothing."""
    return b"+" + wire.joined(_row(row) for row in rows)


def read_rows(data: bytes) -> list[Recorded]:
    """Read certificates. Raises `wire.Broken`."""
    return [_read_row(part) for part in wire.parts(data, 1)]


def write_key(after: tuple[Kind, int] | None) -> bytes:
    """Write from after which certificate on, or which; never nothing."""
    return b"\0" if after is None else bytes([1, _KINDS.index(after[0])]) + after[1].to_bytes(16)


def read_key(data: bytes) -> tuple[Kind, int] | None:
    """Read that. Raises ValueError."""
    if data == b"\0":
        return None
    if len(data) != 18 or data[1] >= len(_KINDS):  # noqa: PLR2004 - as `write_key` writes it
        raise ValueError("not a key")
    return _KINDS[data[1]], int.from_bytes(data[2:])


def write_endings(endings: Sequence[EndedRecord]) -> bytes:
    """Write what ended; never nothing."""
    return b"+" + b"".join(
        _ENDED.pack(
            _KINDS.index(one.kind), one.serial.to_bytes(16), int(one.at.timestamp()), _REASONS.index(one.reason)
        )
        for one in endings
    )


def read_endings(data: bytes) -> list[EndedRecord]:
    """Read that. Raises `wire.Broken`."""
    try:
        return [
            EndedRecord(_KINDS[kind], int.from_bytes(serial), datetime.fromtimestamp(at, UTC), _REASONS[reason])
            for kind, serial, at, reason in _ENDED.iter_unpack(data[1:])
        ]
    except (struct.error, IndexError, OverflowError, OSError) as wrong:
        raise wire.Broken("not what ended") from wrong


def write_ended(ended: EndedRecord) -> bytes:
    """Write one end, as it is to be noted."""
    return write_endings([ended])


def read_ended(data: bytes) -> EndedRecord:
    """Read that. Raises ValueError."""
    try:
        found = read_endings(data)
    except wire.Broken as wrong:
        raise ValueError("not an end") from wrong
    if len(found) != 1 or found[0].reason is Reason.CERTIFICATE_HOLD:
        raise ValueError("not an end")
    return found[0]


def write_latest(latest: Sequence[Latest]) -> bytes:
    """Write what was noted last; never nothing."""
    return b"+" + b"".join(_LATEST.pack(one.ended, _KINDS.index(one.kind), one.serial.to_bytes(16)) for one in latest)


def read_latest(data: bytes) -> list[Latest]:
    """Read that. Raises `wire.Broken`."""
    try:
        return [
            Latest(ended, _KINDS[kind], int.from_bytes(serial)) for ended, kind, serial in _LATEST.iter_unpack(data[1:])
        ]
    except (struct.error, IndexError) as wrong:
        raise wire.Broken("not what was noted last") from wrong


def _row(row: Recorded) -> bytes:
    ended = 0 if row.ended_at is None else int(row.ended_at.timestamp())
    reason = 0 if row.reason is None else _REASONS.index(row.reason)
    kind, serial, signed = _KINDS.index(row.kind), row.serial.to_bytes(16), int(row.signed_at.timestamp())
    return _ROW.pack(kind, serial, signed, row.sha256, ended, reason, row.der is not None) + (row.der or b"")


def _read_row(part: bytes) -> Recorded:
    try:
        kind, serial, signed, sha256, ended, reason, readable = _ROW.unpack_from(part)
        return Recorded(
            _KINDS[kind],
            int.from_bytes(serial),
            datetime.fromtimestamp(signed, UTC),
            sha256,
            part[_ROW.size :] if readable else None,
            datetime.fromtimestamp(ended, UTC) if ended else None,
            _REASONS[reason] if ended else None,
        )
    except (struct.error, IndexError, OverflowError, OSError) as wrong:
        raise wire.Broken("not a certificate of the journal") from wrong
