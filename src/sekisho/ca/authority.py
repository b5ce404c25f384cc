"""The CA: signs what its profiles allow, and hands nothing out that does not stand in its journal."""

from __future__ import annotations

import hashlib
import logging
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sekisho.ca import wire
from sekisho.ca.blocks import JournalBroken
from sekisho.ca.entries import Ended, Listed
from sekisho.ca.journal import AlreadyJournaled
from sekisho.ca.listed import LastList
from sekisho.ca.record import PAGE, EndedRecord, Latest, Recorded, StillKept
from sekisho.ca.sealing import ContractErased, Draft, Known
from sekisho.ca.signer import KeyFailed
from sekisho.domain.certificate import Reason
from sekisho.domain.errors import CaAway
from sekisho.domain.issuing_ca import IssuingCa
from sekisho.gatherer import Gatherer
from sekisho.pki import crl
from sekisho.pki.profile import NotYet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sekisho.ca.entries import Certified
    from sekisho.ca.journal import Journal
    from sekisho.ca.signer import Signer
    from sekisho.domain.person import Kind
    from sekisho.pki.ocsp import Answer
    from sekisho.pki.profile import Order

log = logging.getLogger("sekisho.ca")
# Questions that wait for one flush together, and how long one waits at most.
_MOST = 64
_PATIENCE_S = 8.0
# A contract is kept for seven years after its end, which is not before that of its last certificate.
RETENTION = timedelta(days=7 * 365 + 2)


class Authority:
    """The signer of one bank with its journal. Many threads may use it at once.

    One serial number is signed for one order alone, and the same order gets
    the same bytes for ever, whatever key or profile is in use by then.
    """

    def __init__(
        self, signer: Signer, journal: Journal, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._signer = signer
        self._journal = journal
        self._now = now
        self._lock = threading.Lock()
        self._listed: dict[str, LastList] = {}
        self._under_way: dict[tuple[Kind, int], tuple[bytes, int]] = {}
        self._gathered: Gatherer[Sequence[Draft], list[Known | Exception]] = Gatherer(
            self._write_down, patience_s=_PATIENCE_S, most=_MOST
        )

    @property
    def journal(self) -> Journal:
        """What was signed."""
        return self._journal

    def sign_all(self, orders: Sequence[Order]) -> list[bytes | Exception]:
        """Return the DER certificate for each order, why that one is refused, or `CaAway` where that one is to wait.

        The last where the order is a good one and a key fails, what the
        journal has of it or of its contract is damaged, or a clock is wrong. Raises
        `JournalNotWritten`, `TokenAway`, and a refusal where the disk does
        not keep up: then nothing is handed out, and whoever asks again gets
        the same.
        """
        outcomes: list[bytes | Exception | None] = [None] * len(orders)
        drafts: dict[int, Draft] = {}
        with self._claimed(orders) as digests:
            known = self._journal.known([(order.kind, order.serial) for order in orders])
            to_sign: dict[int, bytes] = {}
            for at, (order, digest) in enumerate(zip(orders, digests, strict=True)):
                if digest is None:
                    outcomes[at] = AlreadyJournaled("another order with this serial number is under way")
                elif (found := known.get((order.kind, order.serial))) is not None:
                    outcomes[at] = _answer(found, digest)
                else:
                    to_sign[at] = digest
            signed = self._signer.sign_all([orders[at] for at in to_sign])
            for (at, digest), outcome in zip(to_sign.items(), signed, strict=True):
                if isinstance(outcome, Exception):
                    outcomes[at] = outcome
                else:
                    drafts[at] = self._draft(orders[at], digest, outcome)
            if drafts:
                written = self._gathered.submit(list(drafts.values()))
                for (at, draft), kept in zip(drafts.items(), written, strict=True):
                    outcomes[at] = _answer(kept, draft.order_digest)
        return [_told(order, outcome) for order, outcome in zip(orders, outcomes, strict=True)]

    def sign_crl(
        self,
        kind: Kind,
        shard: int | None,
        entries: bytes,
        *,
        number: int,
        this_update: datetime,
        next_update: datetime,
        generation: int = 1,
    ) -> bytes:
        """Return the DER revocation list; what it names as ended for good is in the journal before it is handed out."""
        der = self._signer.sign_crl(
            kind,
            shard,
            entries,
            number=number,
            this_update=this_update,
            next_update=next_update,
            generation=generation,
        )
        name = crl.list_name(IssuingCa(kind, generation), shard)
        # Most of a list stays from day to day, and of that the journal was told. Should it not be told of the rest
        # now, or somebody else have the same list signed meanwhile, all is read again.
        last = self._listed.pop(name, None) or LastList()
        read = [crl.read_entry(entry) for entry in last.take(entries)]
        ended = [Ended(kind, *one) for one in read if one[2] is not Reason.CERTIFICATE_HOLD]
        self._journal.note_ended(ended, Listed(kind, number, this_update, next_update, hashlib.sha256(der).digest()))
        self._listed[name] = last
        return der

    def note_ended(self, ended: Sequence[EndedRecord]) -> None:
        """Note in the journal what has ended for good, and return once the disk has it; twice is once.

        Raises `JournalNotWritten`.
        """
        self._journal.note_ended([Ended(one.kind, one.serial, one.at, one.reason) for one in ended])

    def note_ended_now(self, ended: Sequence[EndedRecord]) -> bool:
        """Do so; here there is nobody to wait for."""
        self.note_ended(ended)
        return True

    def answer_all(self, answers: Sequence[Answer]) -> list[bytes | Exception]:
        """Return each answer about a certificate as DER, or why that one is refused. The journal has none of them."""
        return self._signer.answer_all(answers)

    def records(self, after: tuple[Kind, int] | None) -> list[Recorded]:
        """Return certificates of the journal in the order of kind and serial, some from after one on.

        Raises `JournalBroken`.
        """
        return [self._recorded(one) for one in self._journal.certified(after, PAGE)]

    def record_of(self, kind: Kind, serial: int) -> Recorded | None:
        """Return what the journal has of a certificate. Raises `JournalBroken`."""
        found = self._journal.find(kind, serial)
        return None if found is None else self._recorded(found)

    def endings(self, after: tuple[Kind, int] | None) -> list[EndedRecord]:
        """Return what the journal knows to have ended, in the same order, some from after one on."""
        return [EndedRecord(one.kind, one.serial, one.at, one.reason) for one in self._journal.endings(after, PAGE)]

    def latest(self) -> list[Latest]:
        """Return what the journal noted last."""
        return [Latest(*one) for one in self._journal.latest()]

    def verify(self) -> None:
        """Read the whole journal. Raises `JournalBroken`."""
        self._journal.verify()

    def _recorded(self, one: Certified) -> Recorded:
        try:
            der: bytes | None = self._journal.read(one).der
        except ContractErased:
            der = None
        ended = self._journal.ended(one.kind, one.serial) or (None, None)
        return Recorded(one.kind, one.serial, one.signed_at, one.sha256, der, *ended)

    def erase(self, bank: str, contract_id: str) -> bool:
        """Make unreadable for good what the journal has of a contract; False where it has nothing.

        Raises `StillKept` while the retention rule keeps it, whoever asks.
        """
        contract = f"{bank}/{contract_id}"
        now = self._now()
        last_end = self._journal.last_end(contract)
        if last_end is not None and now < last_end + RETENTION:
            raise StillKept(last_end + RETENTION)
        return self._journal.erase(contract, now)

    def _draft(self, order: Order, digest: bytes, der: bytes) -> Draft:
        signed_at = self._now().replace(microsecond=0)
        return Draft(order.kind, order.serial, _contract_of(order), digest, der, signed_at, order.not_after)

    @contextmanager
    def _claimed(self, orders: Sequence[Order]) -> Iterator[list[bytes | None]]:
        """Hold each order's serial number for it while the block lasts, None where another order holds it."""
        digests: list[bytes | None] = [hashlib.sha256(wire.order_part(order)).digest() for order in orders]
        keys = [(order.kind, order.serial) for order in orders]
        with self._lock:
            for at, key in enumerate(keys):
                digest, holders = self._under_way.get(key, (digests[at], 0))
                if digest is None or digest != digests[at]:
                    digests[at] = None
                else:
                    self._under_way[key] = digest, holders + 1
        try:
            yield digests
        finally:
            with self._lock:
                for key, held in zip(keys, digests, strict=True):
                    if held is None:
                        continue
                    _, holders = self._under_way[key]
                    if holders == 1:
                        del self._under_way[key]
                    else:
                        self._under_way[key] = held, holders - 1

    def _write_down(self, questions: Sequence[Sequence[Draft]]) -> list[list[Known | Exception]]:
        """Write down what several questions had signed, with one flush for all of them."""
        written = iter(self._journal.add([draft for question in questions for draft in question]))
        return [[next(written) for _ in question] for question in questions]


def _told(order: Order, outcome: bytes | Exception | None) -> bytes | Exception:
    """Return an outcome as whoever ordered is told it."""
    if isinstance(outcome, JournalBroken | KeyFailed | NotYet):
        log.critical("serial number %032x has to wait: %s", order.serial, outcome)
        return CaAway()
    return AlreadyJournaled() if outcome is None else outcome


def _answer(found: Known | Exception, digest: bytes) -> bytes | Exception:
    if isinstance(found, Exception):
        return found
    return found.der if found.order_digest == digest else AlreadyJournaled("another order has this serial number")


def _contract_of(order: Order) -> str:
    """Return what the journal calls the contract of an order: 4 digits of the bank, 11 of the contract."""
    return f"{order.common_name[-4:]}/{order.common_name[:11]}"
