"""Log on: certificate and PIN, and for an administrator the card in addition (J1, J4)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from sekisho.domain import card
from sekisho.domain.certificate import Ending, Reason
from sekisho.domain.errors import EntryMissing, EntryTooLong, Refusal, SessionRefused
from sekisho.domain.person import Kind
from sekisho.domain.secret import LONGEST_ENTRY, SecretName
from sekisho.domain.session import SessionEnd
from sekisho.store import audit, certificates, notices, people, secrets, sessions
from sekisho.usecases.end_certificate import end_certificate
from sekisho.usecases.judge_entry import judge_entry
from sekisho.usecases.show_certificate import show_certificate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.certificate import Certificate
    from sekisho.domain.contract import Bank, Person
    from sekisho.domain.session import Session
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """What the browser gets: the cookie's token, and the card positions still asked (none for a user)."""

    token: bytes
    positions: tuple[int, ...]


def enter_pin(
    ports: Ports,
    *,
    bank: Bank,
    kind: Kind,
    der: bytes | None,
    pin: str,
    address: str,
    language: str | None = None,
) -> OpenedSession:
    """Take the PIN that was entered behind a certificate, and open a session.

    `language` is the one that the person has chosen, if any: once logged on,
    they are told things in it.

    For a user the logon is complete. For an administrator the session opens
    nothing but the card's question, which stays the same until it is
    answered, so that asking again shows no other part of the table.
    """
    now = ports.now()
    check_entry(pin, "pin")
    show = partial(show_certificate, der=der, bank=bank.code, kind=kind, now=now)
    with ports.db.read() as tx:
        visitor = show(tx)
    person, checked = visitor.person, _set(visitor.secret)
    person.check_door()
    right = ports.pins.verify(checked.verifier, pin)
    token = ports.entropy(32)
    actor = audit.actor_of(person.who, address)

    def judge_and_open(tx: Connection) -> Refusal | tuple[int, ...]:
        people.lock(tx, [person.id])
        # Ended while argon2 was busy: then it opens nothing any more.
        present = show(tx)
        secret = _set(present.secret)
        refusal = judge_entry(
            tx, present.person, secret, checked=checked, right=right, policy=bank.policy, actor=actor, now=now
        )
        if refusal is not None:
            return refusal
        positions = _question(tx, ports, person) if kind is Kind.ADMINISTRATOR else ()
        session_id = sessions.open_session(
            tx,
            token_sha256=token_sha256(token),
            person_id=person.id,
            certificate_id=present.certificate.id,
            address=address,
            positions=positions,
            now=now,
        )
        if not positions:
            if secret.misses:
                secrets.clear_misses(tx, person.id, [SecretName.PIN])
            _complete(tx, person, present.certificate, session_id, actor, now, language)
        return positions

    # A counted miss is told once it is committed.
    outcome = ports.db.write(judge_and_open)
    if isinstance(outcome, Refusal):
        raise outcome
    return OpenedSession(token, outcome)


def answer_card(
    ports: Ports,
    *,
    bank: Bank,
    certificate: Certificate,
    session: Session,
    digits: Sequence[str],
    address: str,
    language: str | None = None,
) -> OpenedSession:
    """Take the card's digits and complete an administrator's logon; the session gets a new token."""
    now = ports.now()
    answer = card.read_answer(digits)
    with ports.db.read() as tx:
        person, checked = _whose(tx, certificate, SecretName.CARD)
    person.check_door()
    table = ports.seal.open(checked.verifier, person.who.contract_id)
    right = card.answers(table, session.positions, answer)
    token = ports.entropy(32)
    actor = audit.actor_of(person.who, address)

    def judge_and_complete(tx: Connection) -> Refusal | None:
        session.check(certificate.id, bank.policy, now)
        people.lock(tx, [person.id])
        present, secret = _whose(tx, certificate, SecretName.CARD)
        refusal = judge_entry(
            tx, present, secret, checked=checked, right=right, policy=bank.policy, actor=actor, now=now
        )
        if refusal is None:
            if not sessions.complete(tx, session.id, token_sha256(token), now):
                return SessionRefused()
            secrets.ask(tx, person.id, ())
            secrets.clear_misses(tx, person.id, [SecretName.PIN, SecretName.CARD])
            _complete(tx, person, certificates.get(tx, certificate.id), session.id, actor, now, language)
        return refusal

    if (refusal := ports.db.write(judge_and_complete)) is not None:
        raise refusal
    return OpenedSession(token, ())


def token_sha256(token: bytes) -> bytes:
    """Return what the table keeps of a cookie: a copy of the table opens no session."""
    return hashlib.sha256(token).digest()


def check_entry(entry: str, field: str) -> None:
    """Refuse an empty or endless entry without counting it: it was never a guess."""
    if not entry.strip():
        raise EntryMissing(fields={field: "entry-missing"})
    if len(entry) > LONGEST_ENTRY:
        raise EntryTooLong(fields={field: "entry-too-long"})


def _set(secret: secrets.Secret | None) -> secrets.Secret:
    if secret is None:
        raise RuntimeError("a person without a PIN")
    return secret


def _whose(tx: Connection, certificate: Certificate, name: SecretName) -> tuple[Person, secrets.Secret]:
    person = people.find(tx, certificate.person)
    if person is None:
        raise RuntimeError("a certificate without a person")
    return person, secrets.of(tx, person.id, [name])[name]


def _question(tx: Connection, ports: Ports, person: Person) -> tuple[int, ...]:
    asked = secrets.of(tx, person.id, [SecretName.CARD])[SecretName.CARD].asked
    if not asked:
        asked = card.choose_positions(ports.entropy)
        secrets.ask(tx, person.id, asked)
    return asked


def _complete(
    tx: Connection,
    person: Person,
    certificate: Certificate,
    session_id: int,
    actor: Actor,
    now: datetime,
    language: str | None,
) -> None:
    """Do what the last step of a logon brings with it."""
    if language is not None and language != person.language:
        people.remember_language(tx, person.id, language)
    sessions.end_of_people(tx, [person.id], SessionEnd.ELSEWHERE, now, but=session_id)
    audit.add(tx, "logged-on", actor, at=now, who=person.who, person_id=person.id, serial=certificate.serial)
    if certificate.first_logon_at is not None or not certificates.mark_first_logon(tx, certificate.id, now):
        return
    notices.add(tx, person.id, "logon-new-certificate", now)
    if certificate.supersedes is not None:
        older = certificates.get(tx, certificate.supersedes)
        end_certificate(tx, older, ending=Ending.SUPERSEDED, reason=Reason.SUPERSEDED, actor=actor, now=now)
