"""The CA's own record of what it signed: append-only, flushed before anything is answered, sealed for each contract.

A folder holds

    00000001.journal ...   blocks (`blocks`) of entries (`entries`); the last file is the one that grows
    contract-keys          a key for each contract (`contract_keys`)
    index.sqlite           where each serial is (`journal_index`); may be deleted, and is made anew

What a certificate says stands sealed under its contract's key. Its serial and
SHA-256 stand outside, in the chain, which can be checked without any key and
for ever.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import logging
import os
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from sekisho.ca import blocks, entries
from sekisho.ca.blocks import JournalBroken, Torn
from sekisho.ca.contract_keys import ContractKeys
from sekisho.ca.entries import Certified, Ended, Erased, moment
from sekisho.ca.journal_index import JournalIndex, Upto
from sekisho.domain.certificate import Reason
from sekisho.domain.person import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from sekisho.ca.entries import Entry, Listed

log = logging.getLogger("sekisho.ca")
LONGEST_SEGMENT = 64 * 2**20
_KINDS = list(Kind)
_NONCE = 12
_ORDER_DIGEST = 32
# What is not in the index yet is kept in memory; a start reads as much again.
_MOST_RECENT = 2048
_OFFSET_BITS = 32
_LATEST = 64
_SLOTS_REMEMBERED = 16384
_HOLD_S = 5.0


class JournalInUse(Exception):  # noqa: N818 - names what happened
    """Another process writes this journal."""


class JournalNotWritten(Exception):  # noqa: N818 - names what happened
    """The disk does not take what is to be written down; nothing of it may be handed out."""


class AlreadyJournaled(Exception):  # noqa: N818 - names what was found
    """The serial number stands there already."""


class ContractErased(Exception):  # noqa: N818 - names what was found
    """The serial number stands there, and what was signed for it was erased."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A certificate that was signed and is to be written down; `order_digest` tells the order from any other."""

    kind: Kind
    serial: int
    contract: str
    order_digest: bytes
    der: bytes
    signed_at: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Known:
    """A certificate that stands in the journal, with its contract and the digest of its order."""

    contract: str
    order_digest: bytes
    der: bytes


@dataclass(slots=True)
class _Recent:
    """What the journal has and the index has not yet."""

    certified: dict[bytes, int] = field(default_factory=dict)
    ended: dict[bytes, tuple[int, str]] = field(default_factory=dict)
    labels: dict[bytes, int] = field(default_factory=dict)
    last_ends: dict[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.certified) + len(self.ended)

    def forget(self, slot: int) -> None:
        """Forget whose a slot was."""
        self.labels = {label: other for label, other in self.labels.items() if other != slot}
        self.last_ends.pop(slot, None)


class Journal:
    """The journal in a folder, which it holds for this process alone. Many threads may use it at once.

    Opening it reads what the index does not know, cuts off what a crash left
    of a write that nobody was told of, and raises `JournalBroken` where
    anything else does not hold. `JournalInUse` where it is held already.
    """

    def __init__(self, folder: Path, key: bytes, *, longest_segment: int = LONGEST_SEGMENT) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._longest_segment = longest_segment
        # Whoever writes holds the first for as long as the disk takes, and the second as briefly as whoever reads.
        self._writing = threading.Lock()
        self._lock = threading.Lock()
        self._held = _hold(folder)
        self._open = True
        self._label_key = _derived(key, b"label")
        self._keys = ContractKeys(folder / "contract-keys", _derived(key, b"wrap"))
        self._index = JournalIndex(folder / "index.sqlite")
        self._files: dict[int, int] = {}
        self._recent = _Recent()
        self._slots: dict[bytes, int] = {}
        self._upto = self._index.upto()
        self._latest = deque(self._index.latest(), maxlen=_LATEST)
        self._broken = False
        try:
            self._catch_up()
        except BaseException:
            self._let_go()
            raise

    @property
    def upto(self) -> Upto:
        """How far it goes."""
        return self._upto

    @property
    def broken(self) -> bool:
        """Whether the disk failed in a way after which nobody knows what it has: only a new start tells."""
        return self._broken

    def close(self) -> None:
        """Note in the index how far it goes, and let the folder go."""
        with self._writing, self._lock:
            if self._open and not self._broken:
                self._save_index()
            self._let_go()

    def known(self, serials: Sequence[tuple[Kind, int]]) -> dict[tuple[Kind, int], Known | Exception]:
        """Return what was signed under serial numbers, `ContractErased` for what can be read no more.

        What cannot be read because it is damaged has `JournalBroken` in its place.
        """
        with self._lock:
            places = self._places([_key(*one) for one in serials])
            return {one: self._read_known(place) for one in serials if (place := places.get(_key(*one))) is not None}

    def add(self, drafts: Sequence[Draft]) -> list[Known | Exception]:
        """Write certificates down and return them once the disk has them.

        A serial number that stands there already gets what stands there where
        its order is the same, and `AlreadyJournaled` where it is another;
        `ContractErased` as `known`. Raises `JournalNotWritten` where the disk
        does not take them: then none is there.
        """
        with self._writing:
            outcomes: list[Known | Exception] = []
            new: dict[bytes, Draft] = {}
            with self._lock:
                places = self._places([_key(draft.kind, draft.serial) for draft in drafts])
                outcomes += [self._meet(draft, places, new) for draft in drafts]
                sealed = [self._seal(draft) for draft in new.values()]
            self._append(sealed)
            return outcomes

    def note_ended(self, ended: Sequence[Ended], signed: Listed | None = None) -> int:
        """Write down what was ended, what is known already excepted, and the list that says so; return how many.

        Raises `JournalNotWritten`.
        """
        with self._writing:
            with self._lock:
                by_key = {_key(one.kind, one.serial): one for one in ended}
                unknown = self._index.unknown_ended(list(by_key)) if by_key else set()
            new = [by_key[key] for key in sorted(unknown) if key not in self._recent.ended]
            self._append([*new, *([] if signed is None else [signed])])
            return len(new)

    def ended(self, kind: Kind, serial: int) -> tuple[datetime, Reason] | None:
        """Return when and why a certificate was ended, as far as the journal was told."""
        key = _key(kind, serial)
        with self._lock:
            found = self._recent.ended.get(key) or self._index.ended(key)
        return None if found is None else (moment(found[0]), Reason(found[1]))

    def last_end(self, contract: str) -> datetime | None:
        """Return when the last certificate of a contract ends, or None where the journal has none of it."""
        with self._lock:
            slot = self._slot(self._label(contract))
            if slot is None:
                return None
            return moment(max(self._recent.last_ends.get(slot, 0), self._index.last_end(slot) or 0))

    def erase(self, contract: str, now: datetime) -> bool:
        """Destroy a contract's key for good; False where the journal has none of it.

        What is about to be destroyed is written down before: a crash in
        between is made good at the next start.
        """
        with self._writing:
            with self._lock:
                slot = self._slot(self._label(contract))
            if slot is None:
                return False
            self._append([Erased(slot, now)])
            return True

    def certified(self, after: tuple[Kind, int] | None, most: int) -> list[Certified]:
        """Return certificates in the order of kind and serial, so many from after one on."""
        with self._writing, self._lock:
            if self._recent.certified:
                self._save_index()
            places = self._index.certified_after(b"" if after is None else _key(*after), most)
            return [self._certified(place) for _, place in places]

    def find(self, kind: Kind, serial: int) -> Certified | None:
        """Return a certificate as it stands in the journal."""
        with self._lock:
            place = self._places([_key(kind, serial)]).get(_key(kind, serial))
            return None if place is None else self._certified(place)

    def endings(self, after: tuple[Kind, int] | None, most: int) -> list[Ended]:
        """Return what ended, in the same order, so many from after one on."""
        with self._writing, self._lock:
            if self._recent.ended:
                self._save_index()
            rows = self._index.ended_after(b"" if after is None else _key(*after), most)
            return [
                Ended(_KINDS[key[0]], int.from_bytes(key[1:]), moment(at), Reason(reason)) for key, at, reason in rows
            ]

    def latest(self) -> list[tuple[bool, Kind, int]]:
        """Return what was noted last, the oldest first: whether a certificate ended or was signed, and which."""
        with self._lock:
            return [(bool(ended), _KINDS[key[0]], int.from_bytes(key[1:])) for ended, key in self._latest]

    def read(self, one: Certified) -> Known:
        """Return what a certificate says. Raises `ContractErased`."""
        with self._lock:
            return self._opened(one)

    def verify(self) -> Upto:
        """Read everything from the first block on and return how far it goes. Raises `JournalBroken`.

        Whoever signs meanwhile is not kept waiting, and what they add is not looked at.
        """
        goal = upto = self._upto
        for _, upto in self._read(Upto()):
            if upto.number == goal.number:
                break
        if (upto.number, upto.digest) != (goal.number, goal.digest):
            raise JournalBroken(f"{self._folder}: the journal is not what the index knows of it")
        return goal

    def _catch_up(self) -> None:
        """Take in what the journal has beyond the index."""
        anew = self._upto == Upto()
        if anew:
            self._index.begin_anew()
        else:
            self._check_end()
        for block, upto in self._read(self._upto, cut=True):
            for octet, data in block:
                self._take_in(entries.read_entry(data), _place_of(upto.segment, octet))
            self._upto = replace(upto, slots=self._upto.slots, certificates=self._upto.certificates)
            if len(self._recent) >= _MOST_RECENT:
                self._save_index()
        self._save_index()
        if anew:
            self._index.sort()

    def _check_end(self) -> None:
        """Raise `JournalBroken` unless the journal has what the index knows that it had."""
        path = self._path(self._upto.segment)
        size = path.stat().st_size if path.exists() else 0
        if self._last_segment() < self._upto.segment or size < self._upto.octet:
            raise JournalBroken(f"{self._folder}: the journal is shorter than what was acknowledged of it")
        length = len(self._upto.digest)
        if os.pread(self._file(self._upto.segment), length, self._upto.octet - length) != self._upto.digest:
            raise JournalBroken(f"{path.name}: the journal is another than the one that the index knows")

    def _read(self, upto: Upto, *, cut: bool = False) -> Iterator[tuple[list[tuple[int, bytes]], Upto]]:
        """Yield the entries of each block from there on, and how far that is."""
        last = self._last_segment()
        while upto.segment <= last:
            name = self._path(upto.segment).name
            file = self._file(upto.segment)
            for block in blocks.read_blocks(file, name, upto.octet, upto.number, upto.digest):
                if isinstance(block, Torn):
                    if upto.segment < last or not cut:
                        raise JournalBroken(f"{name} ends in the middle of a block")
                    log.warning("%s: cut %d octets of a write that was never finished", name, block.octets)
                    os.ftruncate(file, block.offset)
                    os.fsync(file)
                    break
                upto = replace(upto, octet=block.end, number=block.number + 1, digest=block.digest)
                yield block.entries, upto
            upto = replace(upto, segment=upto.segment + 1, octet=0)

    def _take_in(self, entry: Entry, place: int) -> None:
        """Know an entry that the journal has."""
        if isinstance(entry, Certified):
            key = _key(entry.kind, entry.serial)
            if key in self._recent.certified:
                raise JournalBroken("the journal names a serial number twice")
            self._recent.certified[key] = place
            self._latest.append((False, key))
            slots = max(self._upto.slots, entry.slot + 1)
            self._upto = replace(self._upto, slots=slots, certificates=self._upto.certificates + 1)
            self._note_contract(entry)
        elif isinstance(entry, Ended):
            key = _key(entry.kind, entry.serial)
            self._latest.append((True, key))
            self._recent.ended[key] = int(entry.at.timestamp()), entry.reason.value
        elif isinstance(entry, Erased):
            self._keys.destroy(entry.slot)
            self._recent.forget(entry.slot)
            self._slots.clear()
            self._index.forget(entry.slot)

    def _note_contract(self, entry: Certified) -> None:
        """Know whose an entry's slot is, and how long it is in use."""
        ends = int(entry.not_after.timestamp())
        before = self._recent.last_ends.get(entry.slot)
        self._recent.last_ends[entry.slot] = max(ends, before or 0)
        if before is not None or self._index.last_end(entry.slot) is not None:
            return
        with suppress(ContractErased):
            self._recent.labels[self._label(self._opened(entry).contract)] = entry.slot

    def _meet(self, draft: Draft, places: dict[bytes, int], new: dict[bytes, Draft]) -> Known | Exception:
        """Return what a draft gets, and put it among the new where nobody was before it."""
        key = _key(draft.kind, draft.serial)
        before: Draft | Known | Exception
        if (first := new.get(key)) is not None:
            before = first
        elif (place := places.get(key)) is not None:
            before = self._read_known(place)
        else:
            new[key] = before = draft
        if isinstance(before, Exception):
            return before
        if before.order_digest != draft.order_digest:
            return AlreadyJournaled()
        return Known(before.contract, before.order_digest, before.der)

    def _seal(self, draft: Draft) -> Certified:
        """Seal what was signed under the key of its contract, which is given one where it has none."""
        label = self._label(draft.contract)
        slot = self._slot(label)
        if slot is None:
            slot = self._upto.slots
            self._keys.provide(slot)
            self._upto = replace(self._upto, slots=slot + 1)
            self._recent.labels[label] = slot
        key = self._keys.key(slot)
        if key is None:
            raise JournalBroken(f"slot {slot} belongs to a contract and is empty")
        sha256 = hashlib.sha256(draft.der).digest()
        entry = Certified(draft.kind, draft.serial, draft.signed_at, draft.not_after, slot, sha256)
        nonce, contract = os.urandom(_NONCE), draft.contract.encode()
        content = draft.order_digest + bytes([len(contract)]) + contract + draft.der
        return replace(entry, sealed=nonce + key.encrypt(nonce, content, entry.clear))

    def _opened(self, entry: Certified) -> Known:
        key = self._keys.key(entry.slot)
        if key is None:
            raise ContractErased
        try:
            content = key.decrypt(entry.sealed[:_NONCE], entry.sealed[_NONCE:], entry.clear)
        except InvalidTag as wrong:
            raise JournalBroken(f"what the journal has of serial number {entry.serial:032x} is damaged") from wrong
        name_ends = _ORDER_DIGEST + 1 + content[_ORDER_DIGEST]
        return Known(content[_ORDER_DIGEST + 1 : name_ends].decode(), content[:_ORDER_DIGEST], content[name_ends:])

    def _append(self, new: Sequence[Entry]) -> None:
        """Write one block and flush it; whoever calls holds `_writing`. Raises `JournalNotWritten`."""
        if not new:
            return
        if self._broken:
            raise JournalNotWritten("the disk failed before")
        with self._lock:
            upto = self._upto
            if upto.octet >= self._longest_segment:
                upto = replace(upto, segment=upto.segment + 1, octet=0)
            file = self._file(upto.segment, new=upto.octet == 0)
        data, digest, starts = blocks.write_block(upto.number, upto.digest, [entries.write_entry(one) for one in new])
        self._write(file, upto.octet, data)
        with self._lock:
            end = upto.octet + len(data)
            self._upto = replace(self._upto, segment=upto.segment, octet=end, number=upto.number + 1, digest=digest)
            for entry, start in zip(new, starts, strict=True):
                self._take_in(entry, _place_of(upto.segment, upto.octet + start))
            if len(self._recent) >= _MOST_RECENT:
                self._save_index()

    def _write(self, file: int, octet: int, data: bytes) -> None:
        try:
            written = 0
            while written < len(data):
                written += os.pwrite(file, memoryview(data)[written:], octet + written)
        except OSError as full:
            # Nobody may find half a block before one that is whole.
            self._broken = True
            os.ftruncate(file, octet)
            os.fsync(file)
            self._broken = False
            raise JournalNotWritten(full.strerror) from full
        try:
            os.fdatasync(file)
        except OSError as failed:
            # What the disk has now, nobody knows, and asking again would not tell.
            self._broken = True
            raise JournalNotWritten(failed.strerror) from failed

    def _save_index(self) -> None:
        recent, self._recent = self._recent, _Recent()
        self._index.save(
            self._upto,
            sorted(recent.certified.items()),
            [(key, *found) for key, found in sorted(recent.ended.items())],
            [(slot, label) for label, slot in recent.labels.items()],
            recent.last_ends.items(),
            self._latest,
        )

    def _places(self, keys: Sequence[bytes]) -> dict[bytes, int]:
        recent = self._recent.certified
        places = self._index.places([key for key in keys if key not in recent])
        return places | {key: recent[key] for key in keys if key in recent}

    def _read_known(self, place: int) -> Known | Exception:
        try:
            return self._opened(self._certified(place))
        except (ContractErased, JournalBroken) as unreadable:
            return unreadable

    def _slot(self, label: bytes) -> int | None:
        """Return the slot of a contract, which is remembered for a while."""
        slot = self._slots.get(label)
        if slot is None:
            slot = self._recent.labels.get(label)
        if slot is None:
            slot = self._index.slot(label)
        if slot is not None:
            if len(self._slots) >= _SLOTS_REMEMBERED:
                self._slots.clear()
            self._slots[label] = slot
        return slot

    def _label(self, contract: str) -> bytes:
        return hmac.digest(self._label_key, contract.encode(), "sha256")

    def _certified(self, place: int) -> Certified:
        segment, octet = place >> _OFFSET_BITS, place & ((1 << _OFFSET_BITS) - 1)
        entry = entries.read_entry(blocks.read_entry(self._file(segment), octet))
        if not isinstance(entry, Certified):
            raise JournalBroken(f"{self._path(segment).name}: no certificate at octet {octet}")
        return entry

    def _path(self, segment: int) -> Path:
        return self._folder / f"{segment:08d}.journal"

    def _last_segment(self) -> int:
        there = sorted(int(path.stem) for path in self._folder.glob("*.journal"))
        if there != list(range(1, len(there) + 1)):
            raise JournalBroken(f"{self._folder}: a part of the journal is missing: there are {there}")
        return len(there) or 1

    def _file(self, segment: int, *, new: bool = False) -> int:
        """Return a part of the journal, open. It is made where it is the first, or `new`."""
        file = self._files.get(segment)
        if file is None:
            make = os.O_CREAT if new or segment == 1 else 0
            file = os.open(self._path(segment), os.O_RDWR | os.O_CLOEXEC | make, 0o600)
            self._files[segment] = file
            if make:
                _flush_folder(self._folder)
        return file

    def _let_go(self) -> None:
        if not self._open:
            return
        self._open = False
        self._index.close()
        self._keys.close()
        for file in (*self._files.values(), self._held):
            os.close(file)
        self._files.clear()


def _hold(folder: Path) -> int:
    """Hold the folder; whoever held it may be about to end, and is waited for a little."""
    file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + _HOLD_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                os.close(file)
                raise JournalInUse(f"{folder} is written by another process") from None
            time.sleep(0.05)
        else:
            return file


def _flush_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _derived(key: bytes, purpose: bytes) -> bytes:
    return HKDFExpand(hashes.SHA256(), 32, b"sekisho journal " + purpose).derive(key)


def _key(kind: Kind, serial: int) -> bytes:
    return bytes([_KINDS.index(kind)]) + serial.to_bytes(16)


def _place_of(segment: int, octet: int) -> int:
    return segment << _OFFSET_BITS | octet
