"""What Tegata does for a person: acquire, renew, list, tidy up, remove. No terminal and no window is known here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509

from tegata import bank as banks
from tegata.csr import request
from tegata.enrolment import Brought, Patience, ask_patiently, bring
from tegata.errors import Refused, Trouble, Unfinished
from tegata.issued import check, common_name
from tegata.records import ACQUIRE, RENEW, Book, Record
from tegata.web import Trust, Web

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tegata.bank import Bank, Standing
    from tegata.identity import Person
    from tegata.stores.interface import Entry, KeyStore, StoredKey

    Report = Callable[..., None]
    Ask = Callable[[StoredKey], list[x509.Certificate]]
    MailedCode = Callable[[Refused], str | None]

CLOCK_TOLERANCE = timedelta(minutes=5)
_REUSED = "key-reused"
# The code is asked for, or was not right. It is asked for so often at most: the permit ends after seven misses.
_ABOUT_A_CODE = frozenset({"mailed-code-needed", "mailed-code-wrong"})
_MAILED_CODES = 3


@dataclass(frozen=True, slots=True)
class Way:
    """How a bank is reached, in which language, and with how much patience."""

    trust: Trust
    lang: str
    patience: Patience
    report: Report

    def web(self, shown: tuple[bytes, StoredKey] | None = None) -> Web:
        """Return a client, with a certificate where one is shown."""
        return Web(self.trust, self.lang, shown=shown)


@dataclass(frozen=True, slots=True)
class Met:
    """A bank that has answered, and its CAs."""

    bank: Bank
    authorities: list[x509.Certificate]


def meet(way: Way, url: str, code: str) -> Met:
    """Ask a public site for its bank and CAs, before any key is made. Raises `Trouble`."""
    web = way.web()
    met = Met(banks.discover(web, url, code), banks.ca_certificates(web, url, code))
    ahead = met.bank.clock_ahead_s
    if ahead is not None and abs(ahead) > CLOCK_TOLERANCE.total_seconds():
        way.report("clock-wrong", minutes=round(abs(ahead) / 60))
    return met


def acquire(
    way: Way,
    met: Met,
    book: Book,
    store: KeyStore,
    record: Record,
    *,
    pin: str,
    confirmation_pin: str,
    mailed_code: MailedCode,
) -> Brought:
    """Acquire a certificate (J3). Where this store has it already, the bank gives the same one again.

    Besides provisional PINs the bank asks for a code that it mails to the
    user: `mailed_code` gets it from whoever sits there, and the same request
    is sent again with it.
    """
    web, person = way.web(), record.person
    record = _known(book, store, record, met)
    # What is asked again, since an answer was lost, is asked with the same code. Scripts may hand one over with the
    # confirmation PIN, behind a colon.
    password = [pin, *confirmation_pin.split(":", 1)]

    def enroll(key: StoredKey) -> list[x509.Certificate]:
        return banks.enroll(
            web,
            record.url,
            person.bank,
            csr=request(key, person.common_name),
            name=person.est_name,
            password=":".join(password),
            held=store.held,
        )

    ask = _asking_for_codes(enroll, password, mailed_code)
    present = store.key(bytes.fromhex(record.present)) if record.present and record.wanted is None else None
    if present is not None:
        try:
            way.report("asking")
            came = ask_patiently(lambda: ask(present), way.patience, way.report)
        except Refused as no:
            # The certificate of that key is over: a new key is needed.
            if no.reason != _REUSED:
                raise
        else:
            issued = check(came, key=present.public_key, person=person, authorities=met.authorities)
            store.put(present.id, person.common_name, issued.der, issued.chain)
            return Brought(record, issued, already=True)
    return bring(
        store,
        book,
        record,
        kind=ACQUIRE,
        ask=ask,
        authorities=met.authorities,
        patience=way.patience,
        report=way.report,
    )


def _asking_for_codes(enroll: Ask, password: list[str], mailed_code: MailedCode) -> Ask:
    """Return what sends the same request again with a mailed code, as long as the bank wants one and gets one."""

    def ask(key: StoredKey) -> list[x509.Certificate]:
        for _ in range(_MAILED_CODES):
            try:
                return enroll(key)
            except Refused as no:
                if no.reason not in _ABOUT_A_CODE or (code := mailed_code(no)) is None:
                    raise
                # A colon divides in the password; a code has digits only, so that nothing right is lost.
                password[2:] = ["".join(code.replace(":", " ").split())]
        return enroll(key)

    return ask


def renew(way: Way, met: Met, book: Book, store: KeyStore, record: Record, *, pin: str | None) -> Brought:
    """Renew a certificate over mutual TLS with its own key (J8), with the PIN or, where the bank allows it, without."""
    person = record.person
    record = _known(book, store, record, met)
    present = _present(store, record)
    key = store.key(present.key_id)
    if key is None:
        raise Unfinished("certificate-not-found", store=store.spec)
    web = way.web((present.der, key))
    site = met.bank.sites[person.kind]

    def ask(new: StoredKey) -> list[x509.Certificate]:
        return banks.reenroll(
            web,
            site,
            person.bank,
            csr=request(new, person.common_name),
            name=person.est_name,
            password=pin,
            held=store.held,
        )

    return bring(
        store, book, record, kind=RENEW, ask=ask, authorities=met.authorities, patience=way.patience, report=way.report
    )


def _known(book: Book, store: KeyStore, record: Record, met: Met) -> Record:
    """Return the record of this person and store as it is remembered, with today's addresses."""
    record = replace(record, store=store.spec)
    before = book.of(record)
    if before is not None:
        record = replace(before, url=record.url, ca=record.ca or before.ca)
    return replace(record, secure_site=met.bank.sites[record.person.kind])


def _present(store: KeyStore, record: Record) -> Entry:
    """Return the certificate that a record stands for."""
    for entry in store.entries():
        if entry.key_id.hex() == record.present:
            return entry
    raise Unfinished("certificate-not-found", store=store.spec)


@dataclass(frozen=True, slots=True)
class Listed:
    """A certificate in a store that looks like a bank's, and the record that goes with it."""

    store: str
    held: str
    entry: Entry
    record: Record | None

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate, read."""
        return x509.load_der_x509_certificate(self.entry.der)

    @property
    def serial(self) -> str:
        """32 hexadecimal digits, as the bank writes it."""
        return f"{self.certificate.serial_number:032x}"

    @property
    def common_name(self) -> str:
        """The certificate's name."""
        return common_name(self.certificate)

    @property
    def state(self) -> str:
        """How it stands by what can be seen here."""
        now = datetime.now(UTC)
        if self.certificate.not_valid_after_utc <= now:
            return "expired"
        if self.certificate.not_valid_before_utc > now:
            return "not-yet-valid"
        if self.record is not None and self.entry.key_id.hex() in self.record.former:
            return "replaced"
        return "valid"


def listed(store: KeyStore, book: Book) -> list[Listed]:
    """Return the certificates of banks in a store: those we brought, and those whose name looks like one."""
    records = [record for record in book.all() if record.store == store.spec]
    found = []
    for entry in store.entries():
        key_id = entry.key_id.hex()
        record = next((one for one in records if key_id in {one.present, *one.former}), None)
        one = Listed(store.spec, store.held.value, entry, record)
        if record is not None or _looks_like_one(one.common_name):
            found.append(one)
    return found


def _looks_like_one(name: str) -> bool:
    """Tell whether a common name is contract ID (11 digits), user ID, bank code (4 digits)."""
    return len(name) >= 15 and name[:11].isdigit() and name[-4:].isdigit() and name.isalnum()  # noqa: PLR2004 - as above


def ask_standing(way: Way, store: KeyStore, record: Record, key_id: str) -> Standing | None:
    """Ask the secure site how one of our certificates stands; None where it is not in the store any more."""
    entry = next((one for one in store.entries() if one.key_id.hex() == key_id), None)
    key = store.key(bytes.fromhex(key_id))
    if entry is None or key is None or record.secure_site is None:
        return None
    return banks.standing(way.web((entry.der, key)), record.secure_site, record.bank)


def tidy(way: Way, book: Book, store: KeyStore, record: Record) -> tuple[Record, list[str]]:
    """Remove former certificates that the bank says are over; return the record and the serial numbers.

    A renewed one is over at the first completed logon with the new one. What
    cannot be asked or removed now stays for the next time.
    """
    gone: list[str] = []
    for key_id in record.former:
        try:
            serials = [
                f"{x509.load_der_x509_certificate(entry.der).serial_number:032x}"
                for entry in store.entries()
                if entry.key_id.hex() == key_id
            ]
            standing = ask_standing(way, store, record, key_id)
            if standing is not None and not standing.over:
                continue
            store.remove(bytes.fromhex(key_id))
        except Trouble:
            continue
        record = book.save(replace(record, former=tuple(one for one in record.former if one != key_id)))
        gone += serials
    return record, gone


def remove(book: Book, store: KeyStore, one: Listed) -> None:
    """Remove a certificate and its key for good."""
    key_id = one.entry.key_id.hex()
    store.remove(one.entry.key_id)
    record = one.record
    if record is None:
        return
    record = replace(
        record,
        present=None if record.present == key_id else record.present,
        former=tuple(other for other in record.former if other != key_id),
    )
    if record.present is None and record.wanted is None and not record.former:
        book.forget(record)
    else:
        book.save(record)


def record_for(person: Person, url: str, store: str, ca: Path | None) -> Record:
    """Return a new record."""
    return Record(
        url=url.rstrip("/"),
        bank=person.bank,
        contract_id=person.contract_id,
        user_id=person.user_id,
        store=store,
        ca=None if ca is None else str(ca.absolute()),
    )
