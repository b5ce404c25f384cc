"""The CA's own record of what it signed: append-only, flushed before anything is answered, sealed for each contract.

A folder holds

    00000001.journal ...   segments (`segments`) of blocks (`blocks`) of entries (`entries`); the last one grows
    contract-keys          a key for each contract (`contract_keys`)
    index.sqlite           where each serial is (`journal_index`); may be deleted, and is made anew

What a certificate says stands sealed under its contract's key. Its serial and
SHA-256 stand outside, in the chain, which can be checked without any key and
for ever.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import deque
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sekisho.ca import blocks, entries
from sekisho.ca.blocks import JournalBroken
from sekisho.ca.entries import Certified, Ended, Erased, moment
from sekisho.ca.journal_index import JournalIndex, Upto
from sekisho.ca.sealing import ContractErased, Draft, Known, Sealing
from sekisho.ca.segments import JournalNotWritten, Segments, place_of
from sekisho.domain.certificate import Reason
from sekisho.domain.person import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from sekisho.ca.entries import Entry, Listed

log = logging.getLogger("sekisho.ca")
LONGEST_SEGMENT = 64 * 2**20
_KINDS = list(Kind)
# What is not in the index yet is kept in memory; a start reads as much again.
_MOST_RECENT = 2048
_LATEST = 64
_SLOTS_REMEMBERED = 16384


class AlreadyJournaled(Exception):  # noqa: N818 - names what was found
    """The serial number stands there already."""


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
    anything else does not hold. `JournalInUse` where it is held already,
    `JournalNotWritten` where the disk has no room for its index.
    """

    def __init__(self, folder: Path, key: bytes, *, longest_segment: int = LONGEST_SEGMENT) -> None:
        self._longest_segment = longest_segment
        # Whoever writes holds the first for as long as the disk takes, and the second as briefly as whoever reads.
        self._writing = threading.Lock()
        self._lock = threading.Lock()
        self._open = True
        with ExitStack() as held:
            self._segments = held.enter_context(closing(Segments(folder)))
            self._sealing = held.enter_context(closing(Sealing(folder / "contract-keys", key)))
            self._index = held.enter_context(closing(JournalIndex(folder / "index.sqlite")))
            self._recent = _Recent()
            self._slots: dict[bytes, int] = {}
            self._upto = self._index.upto()
            self._latest = deque(self._index.latest(), maxlen=_LATEST)
            self._catch_up()
            self._held = held.pop_all()

    @property
    def upto(self) -> Upto:
        """How far it goes."""
        return self._upto

    @property
    def broken(self) -> bool:
        """Whether the disk failed in a way after which nobody knows what it has: only a new start tells."""
        return self._segments.broken

    def close(self) -> None:
        """Note in the index how far it goes, and let the folder go."""
        with self._writing, self._lock, self._held:
            if self._open and not self.broken:
                self._try_to_save_index()
            self._open = False

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
        `ContractErased` and `JournalBroken` as `known`. Raises `JournalNotWritten` where the disk
        does not take them: then none is there.
        """
        with self._writing:
            new: dict[bytes, Draft] = {}
            with self._lock:
                keys = [_key(draft.kind, draft.serial) for draft in drafts]
                places = self._places(keys)
                outcomes = [self._meet(draft, places, new) for draft in drafts]
                slots = self._slots_of([draft.contract for draft in new.values()])
                sealed, broken = self._sealed(new, slots)
            self._append(sealed)
            return [broken.get(key, outcome) for key, outcome in zip(keys, outcomes, strict=True)]

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
            slot = self._slot(self._sealing.label(contract))
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
                slot = self._slot(self._sealing.label(contract))
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
            return self._sealing.opened(one)

    def verify(self) -> Upto:
        """Read everything from the first block on and return how far it goes. Raises `JournalBroken`.

        Whoever signs meanwhile is not kept waiting, and what they add is not looked at.
        """
        goal = upto = self._upto
        for _, upto in self._segments.read(Upto()):
            if upto.number == goal.number:
                break
        if (upto.number, upto.digest) != (goal.number, goal.digest):
            raise JournalBroken("the journal is not what the index knows of it")
        return goal

    def _catch_up(self) -> None:
        """Take in what the journal has beyond the index."""
        anew = self._upto == Upto()
        if anew:
            self._index.begin_anew()
        else:
            self._segments.check_end(self._upto)
        for block, upto in self._segments.read(self._upto, cut=True):
            read = [(entries.read_entry(data), place) for place, data in block]
            for entry, _ in read:
                if isinstance(entry, Certified):
                    self._note_label(entry)
            self._take_in(read)
            self._upto = replace(upto, slots=self._upto.slots, certificates=self._upto.certificates)
            if len(self._recent) >= _MOST_RECENT:
                self._save_index()
        self._save_index()
        if anew:
            self._index.sort()

    def _take_in(self, block: Iterable[tuple[Entry, int]]) -> None:
        """Know entries that the journal has, and the place of each; whose a slot is, was noted before."""
        slots, certificates = self._upto.slots, self._upto.certificates
        for entry, place in block:
            if isinstance(entry, Certified):
                key = _key(entry.kind, entry.serial)
                if key in self._recent.certified:
                    raise JournalBroken("the journal names a serial number twice")
                self._recent.certified[key] = place
                self._latest.append((False, key))
                slots, certificates = max(slots, entry.slot + 1), certificates + 1
                ends = int(entry.not_after.timestamp())
                self._recent.last_ends[entry.slot] = max(ends, self._recent.last_ends.get(entry.slot, 0))
            elif isinstance(entry, Ended):
                key = _key(entry.kind, entry.serial)
                self._latest.append((True, key))
                self._recent.ended[key] = int(entry.at.timestamp()), entry.reason.value
            elif isinstance(entry, Erased):
                self._sealing.destroy(entry.slot)
                self._recent.forget(entry.slot)
                self._slots.clear()
                self._index.forget(entry.slot)
        self._upto = replace(self._upto, slots=slots, certificates=certificates)

    def _note_label(self, entry: Certified) -> None:
        """Know whose the slot of an entry is that a start finds in the journal."""
        if entry.slot in self._recent.last_ends or self._index.last_end(entry.slot) is not None:
            return
        with suppress(ContractErased):
            self._recent.labels[self._sealing.label(self._sealing.opened(entry).contract)] = entry.slot

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

    def _sealed(
        self, new: Mapping[bytes, Draft], slots: Mapping[str, int]
    ) -> tuple[list[Certified], dict[bytes, JournalBroken]]:
        """Return what is to be written, and what cannot be since the key of its contract is damaged."""
        sealed, broken = [], {}
        for key, draft in new.items():
            try:
                sealed.append(self._sealing.seal(draft, slots[draft.contract]))
            except JournalBroken as damaged:
                broken[key] = damaged
        return sealed, broken

    def _slots_of(self, contracts: Iterable[str]) -> dict[str, int]:
        """Return the slot of each contract, which is given one where it has none."""
        labels = {contract: self._sealing.label(contract) for contract in contracts}
        known = self._known_slots(labels.values())
        for label in labels.values():
            if label not in known:
                # Nobody has the slot before it is there, and nobody else afterwards, should the disk be full meanwhile.
                slot = self._upto.slots
                self._sealing.provide(slot)
                self._upto = replace(self._upto, slots=slot + 1)
                known[label] = self._recent.labels[label] = slot
        return {contract: known[label] for contract, label in labels.items()}

    def _append(self, new: Sequence[Entry]) -> None:
        """Write one block and flush it; whoever calls holds `_writing`. Raises `JournalNotWritten`."""
        if not new:
            return
        with self._lock:
            upto = self._upto
            if upto.octet >= self._longest_segment:
                upto = replace(upto, segment=upto.segment + 1, octet=0)
            if upto.octet == 0:
                self._segments.prepare(upto.segment)
        data, digest, starts = blocks.write_block(upto.number, upto.digest, [entries.write_entry(one) for one in new])
        self._segments.write(upto.segment, upto.octet, data)
        with self._lock:
            end = upto.octet + len(data)
            self._upto = replace(self._upto, segment=upto.segment, octet=end, number=upto.number + 1, digest=digest)
            self._take_in(
                (entry, place_of(upto.segment, upto.octet + start)) for entry, start in zip(new, starts, strict=True)
            )
            if len(self._recent) >= _MOST_RECENT:
                self._try_to_save_index()

    def _try_to_save_index(self) -> None:
        """Save it, or else later: the journal has everything, and a start reads what the index lacks."""
        try:
            self._save_index()
        except JournalNotWritten as failed:
            log.error("%s; it is tried again", failed)  # noqa: TRY400 - the trace says no more

    def _save_index(self) -> None:
        """Have the index know what is recent. Raises `JournalNotWritten` where it does not: then all of it stays so."""
        recent = self._recent
        try:
            self._index.save(
                self._upto,
                sorted(recent.certified.items()),
                [(key, *found) for key, found in sorted(recent.ended.items())],
                [(slot, label) for label, slot in recent.labels.items()],
                recent.last_ends.items(),
                self._latest,
            )
        except sqlite3.Error as failed:
            raise JournalNotWritten(f"the journal's index cannot be saved: {failed}") from failed
        self._recent = _Recent()

    def _places(self, keys: Sequence[bytes]) -> dict[bytes, int]:
        recent = self._recent.certified
        places = self._index.places([key for key in keys if key not in recent])
        return places | {key: recent[key] for key in keys if key in recent}

    def _read_known(self, place: int) -> Known | Exception:
        try:
            return self._sealing.opened(self._certified(place))
        except (ContractErased, JournalBroken) as unreadable:
            return unreadable

    def _slot(self, label: bytes) -> int | None:
        return self._known_slots([label]).get(label)

    def _known_slots(self, labels: Iterable[bytes]) -> dict[bytes, int]:
        """Return the slots of those contracts that have one; they are remembered for a while."""
        found: dict[bytes, int] = {}
        unseen = []
        for label in labels:
            slot = self._slots.get(label)
            if slot is None:
                slot = self._recent.labels.get(label)
            if slot is None:
                unseen.append(label)
            else:
                found[label] = slot
        found |= self._index.slots(unseen)
        if len(self._slots) >= _SLOTS_REMEMBERED:
            self._slots.clear()
        self._slots |= found
        return found

    def _certified(self, place: int) -> Certified:
        entry = entries.read_entry(self._segments.read_entry(place))
        if not isinstance(entry, Certified):
            raise JournalBroken("no certificate stands where the index has one")
        return entry


def _key(kind: Kind, serial: int) -> bytes:
    return bytes([_KINDS.index(kind)]) + serial.to_bytes(16)
