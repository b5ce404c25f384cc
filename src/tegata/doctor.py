"""Why a logon does not work, in plain words, and what to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tegata.agent import CLOCK_TOLERANCE, Met, Way, ask_standing, listed, meet
from tegata.errors import StoreTrouble, Trouble
from tegata.issued import chain_of
from tegata.stores.spec import browsers_that_know, open_store, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tegata.agent import Listed
    from tegata.records import Book, Record
    from tegata.stores.interface import KeyStore
    from tegata.stores.spec import Spec

# What the bank says of a certificate at its door, in our words.
_STANDINGS = {
    "certificate-expired": "ended",
    "certificate-reissued": "reissued",
    "certificate-revoked": "revoked",
    "certificate-superseded": "replaced",
    "certificate-not-yet-valid": "not-yet-valid",
    "certificate-unknown": "unknown",
    "certificate-missing": "not-shown",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `wrong` ones keep a logon from working. The words are `doctor.<code>`."""

    code: str
    wrong: bool = False
    values: Mapping[str, object] = field(default_factory=dict)
    trouble: Trouble | None = None


def _met(trouble: Trouble) -> Finding:
    """Return the finding that some trouble is; it brings words of its own."""
    return Finding(trouble.code, wrong=True, trouble=trouble)


def examine(
    way_for: Callable[[Record | None], Way], book: Book, spec: Spec, ask_pin: Callable[[str], str]
) -> list[Finding]:
    """Look at a store, at the certificates in it and at their banks. Reports `Trouble` and raises none."""
    try:
        store = open_store(spec, ask_pin)
    except StoreTrouble as trouble:
        return [_met(trouble)]
    with store:
        try:
            found = listed(store, book)
        except StoreTrouble as trouble:
            return [_met(trouble)]
        findings = _unfinished(book, store)
        if not found:
            findings.append(Finding("no-certificate", wrong=True, values={"store": store.spec}))
        met: dict[tuple[str, str], Met | None] = {}
        for one in found:
            findings += _of_certificate(way_for(one.record), store, one, met)
        findings += _of_browser(store, found)
    return findings


def _unfinished(book: Book, store: KeyStore) -> list[Finding]:
    return [
        Finding("unfinished", wrong=True, values={"name": record.person.est_name})
        for record in book.all()
        if record.store == store.spec and record.wanted is not None
    ]


def _of_certificate(way: Way, store: KeyStore, one: Listed, met: dict[tuple[str, str], Met | None]) -> list[Finding]:
    about = {"name": one.common_name, "serial": one.serial}
    if one.record is None:
        over = one.certificate.not_valid_after_utc <= datetime.now(UTC)
        return [Finding("ended", wrong=True, values=about) if over else Finding("not-ours", values=about)]
    findings: list[Finding] = []
    place = (one.record.url, one.record.bank)
    if place not in met:
        met[place] = None
        try:
            met[place] = meet(way, *place)
        except Trouble as trouble:
            findings.append(_met(trouble))
        else:
            findings += _of_clock(met[place], way.lang)
    bank = met[place]
    if bank is None:
        if one.state == "expired":
            findings.append(Finding("ended", wrong=True, values=about))
        return findings
    findings += _of_chain(store, one, bank, about)
    findings.append(_standing(way, store, one, about))
    return findings


def _of_clock(met: Met | None, lang: str) -> list[Finding]:
    if met is None or (ahead := met.bank.clock_ahead_s) is None:
        return []
    minutes = round(abs(ahead) / 60)
    if abs(ahead) <= CLOCK_TOLERANCE.total_seconds():
        return [Finding("server-reachable", values={"bank": met.bank.name[lang]})]
    return [Finding("clock-behind" if ahead > 0 else "clock-ahead", wrong=True, values={"minutes": minutes})]


def _of_chain(store: KeyStore, one: Listed, met: Met, about: dict[str, str]) -> list[Finding]:
    chain = chain_of(one.certificate, met.authorities)
    if not chain:
        return [Finding("issuer-unknown", wrong=True, values=about)]
    if all(store.has_certificate(der) for der in chain):
        return []
    # What is missing is public and was just fetched, so it is put back at once.
    try:
        store.put(one.entry.key_id, one.common_name, one.entry.der, chain)
    except StoreTrouble as trouble:
        return [_met(trouble)]
    return [Finding("chain-put-back", wrong=True, values=about)]


def _standing(way: Way, store: KeyStore, one: Listed, about: dict[str, str]) -> Finding:
    if one.record is None:
        raise RuntimeError("a record is needed to know the bank")
    try:
        told = ask_standing(way, store, one.record, one.entry.key_id.hex())
    except Trouble as trouble:
        return _met(trouble)
    if told is None:
        return Finding("no-certificate", wrong=True, values={"store": store.spec})
    if told.in_force:
        return Finding("in-force", values=about)
    return Finding(_STANDINGS.get(told.code, "refused-at-door"), wrong=True, values=about | {"said": told.said})


def _of_browser(store: KeyStore, found: list[Listed]) -> list[Finding]:
    """Say what can be said of a browser from outside of it."""
    findings = []
    spec = parse(store.spec)
    if spec.kind == "pkcs11" and browsers_that_know(spec.where) is False:
        findings.append(Finding("browser-without-token", wrong=True, values={"module": spec.where}))
    kinds = [(one.common_name[:11], one.common_name[-4:], len(one.common_name)) for one in found]
    if len(set(kinds)) < len(kinds):
        findings.append(Finding("several", values={"store": store.spec}))
    if found:
        findings.append(Finding("browser-holds-on"))
    return findings
