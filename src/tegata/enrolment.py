"""One key on its way to its certificate: every step can be repeated after a crash, with the same key.

    planned      written down: a label that nothing else has
    key-made     the key is in its store
    asking       written down that the bank is asked
    answered     the certificate came and is the right one
    installed    it is in the store, and was read back
    recorded     written down: nothing is under way any more

The permit is spent at the bank between `asking` and `answered`. Whatever
happens from then on, the same key gets the same certificate.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cryptography import x509

from tegata.errors import NotYet, Refused, ServerTrouble, StoreTrouble
from tegata.issued import Issued, check
from tegata.records import ACQUIRE, Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tegata.records import Book, Record
    from tegata.stores.interface import KeyStore, StoredKey

    Report = Callable[..., None]
    Ask = Callable[[StoredKey], list[x509.Certificate]]

# After these nothing can come for this key any more: it is taken out of its store.
_FOR_GOOD = frozenset(
    {
        "csr-not-accepted",
        "key-not-accepted",
        "key-reused",
        "key-weak",
        "permit-expired",
        "permit-missing",
        "permit-spent",
        "permit-withdrawn",
        "signing-refused",
    }
)
# The bank has ordered for this key, and nothing comes of that any more.
_ENDED = frozenset({"key-reused", "signing-refused"})
# The request did not get as far as the bank.
_NOT_SENT = frozenset({"server-not-reachable", "server-not-trusted", "proxy-refused", "address-not-usable"})
_LOST_ANSWERS = 2


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a bank that says "later", and how: `wait` sleeps for some seconds."""

    wait: Callable[[float], None]
    most_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Brought:
    """What came of it."""

    record: Record
    issued: Issued
    already: bool = False


def bring(
    store: KeyStore,
    book: Book,
    record: Record,
    *,
    kind: str,
    ask: Ask,
    authorities: Sequence[x509.Certificate],
    patience: Patience,
    report: Report,
) -> Brought:
    """Take a key all the way, from where an earlier run left it. Raises `Trouble`; a later run goes on."""
    other = record.wanted is not None and record.wanted.kind != kind

    def once(record: Record) -> Brought:
        return _bring(store, book, record, kind, ask, authorities, patience, report)

    try:
        return once(record)
    except Refused as no:
        left = book.of(record) or replace(record, wanted=None)
        # What an earlier run had asked for otherwise has ended since, and its key is gone: a new one, as was wanted.
        if not other or no.reason not in _ENDED or left.wanted is not None:
            raise
    return once(left)


def _bring(
    store: KeyStore,
    book: Book,
    record: Record,
    kind: str,
    ask: Ask,
    authorities: Sequence[x509.Certificate],
    patience: Patience,
    report: Report,
) -> Brought:
    record = _plan(store, book, record, kind)
    report("planned")
    record, key = _key(store, book, record)
    report("key-made")
    wanted = record.wanted
    if wanted is None or wanted.key_id is None:
        raise RuntimeError("nothing is wanted")
    issued = _installed(store, key.id, record, key, authorities)
    if issued is None:
        issued = _ask(store, book, record, key, ask, authorities, patience, report)
        report("answered")
        store.put(key.id, record.person.common_name, issued.der, issued.chain)
    report("installed")
    former = record.former + ((record.present,) if record.present and record.present != wanted.key_id else ())
    record = book.save(replace(record, wanted=None, present=wanted.key_id, former=former))
    report("recorded")
    return Brought(record, issued)


def _plan(store: KeyStore, book: Book, record: Record, kind: str) -> Record:
    wanted = record.wanted
    if wanted is not None and wanted.kind != kind:
        if kind == ACQUIRE and wanted.asked:
            # The answer to a renewal was lost: with both PINs the bank gives the certificate of that very key.
            record = book.save(replace(record, wanted=replace(wanted, kind=kind)))
        else:
            record = _give_up(store, book, record)
    if record.wanted is not None:
        return record
    label = f"tegata {record.person.common_name} {secrets.token_hex(4)}"
    known = tuple(sorted(key_id.hex() for key_id in store.key_ids()))
    return book.save(replace(record, wanted=Wanted(kind, label, known)))


def _key(store: KeyStore, book: Book, record: Record) -> tuple[Record, StoredKey]:
    wanted = record.wanted
    if wanted is None:
        raise RuntimeError("nothing is wanted")
    key = None
    if wanted.key_id is not None:
        key = store.key(bytes.fromhex(wanted.key_id))
    if key is None:
        known = frozenset(bytes.fromhex(one) for one in wanted.known)
        key = store.find_key(wanted.label, known) or store.make_key(wanted.label)
    if wanted.key_id != key.id.hex():
        record = book.save(replace(record, wanted=replace(wanted, key_id=key.id.hex())))
    return record, key


def _installed(
    store: KeyStore, key_id: bytes, record: Record, key: StoredKey, authorities: Sequence[x509.Certificate]
) -> Issued | None:
    """Return the certificate of our key where an earlier run has brought it as far as the store."""
    for entry in store.entries():
        if entry.key_id == key_id:
            came = [x509.load_der_x509_certificate(entry.der)]
            return check(came, key=key.public_key, person=record.person, authorities=authorities)
    return None


def _ask(
    store: KeyStore,
    book: Book,
    record: Record,
    key: StoredKey,
    ask: Ask,
    authorities: Sequence[x509.Certificate],
    patience: Patience,
    report: Report,
) -> Issued:
    wanted = record.wanted
    if wanted is None:
        raise RuntimeError("nothing is wanted")
    asked_before = wanted.asked
    record = book.save(replace(record, wanted=replace(wanted, asked=True)))
    report("asking")
    attempt = Attempt()
    try:
        came = ask_patiently(lambda: ask(key), patience, report, attempt)
    except Refused as no:
        # An answer may have been lost before, and wrong PINs say nothing about what it was: that key is kept.
        if no.reason in _FOR_GOOD or not (asked_before or attempt.may_have_arrived):
            _give_up(store, book, record)
        raise
    except ServerTrouble as trouble:
        if trouble.code in _NOT_SENT and not (asked_before or attempt.may_have_arrived):
            book.save(replace(record, wanted=wanted))
        raise
    return check(came, key=key.public_key, person=record.person, authorities=authorities)


def _give_up(store: KeyStore, book: Book, record: Record) -> Record:
    """Take a key that nothing will come for out of its store and forget it; if the store says no, a later run does."""
    wanted = record.wanted
    if wanted is None:
        return record
    with suppress(StoreTrouble):
        key = store.find_key(wanted.label, frozenset(bytes.fromhex(one) for one in wanted.known))
        if wanted.key_id is not None:
            store.remove(bytes.fromhex(wanted.key_id))
        elif key is not None:
            store.remove(key.id)
        record = replace(record, wanted=None)
        if record.present is None and not record.former:
            book.forget(record)
        else:
            book.save(record)
    return record


def forget_unfinished(store: KeyStore, book: Book, record: Record) -> Record:
    """Give up what is under way, since a person wants it so."""
    return _give_up(store, book, record)


@dataclass(slots=True)
class Attempt:
    """Whether the bank may have heard of the key by now, whatever came back."""

    may_have_arrived: bool = False


def ask_patiently(
    ask: Callable[[], list[x509.Certificate]], patience: Patience, report: Report, attempt: Attempt | None = None
) -> list[x509.Certificate]:
    """Ask again when the bank says later, and when an answer was lost: the same key gets the same certificate."""
    waited, lost = 0.0, 0
    attempt = attempt or Attempt()
    while True:
        try:
            return ask()
        except NotYet as later:
            attempt.may_have_arrived = True
            if waited + later.after_s > patience.most_s:
                raise
            pause = later.after_s
        except ServerTrouble as trouble:
            attempt.may_have_arrived |= trouble.code not in _NOT_SENT
            lost += 1
            if trouble.code != "answer-lost" or lost > _LOST_ANSWERS:
                raise
            pause = 1.0
        report("waiting", seconds=int(pause))
        patience.wait(pause)
        waited += pause
