"""Log on: certificate and PIN, and for an administrator the card in addition (J1, J4)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from sekisho.domain import card
from sekisho.domain.certificate import Ending, Reason
from sekisho.domain.errors import (
    CardMissing,
    EntryMissing,
    EntryTooLong,
    ProvisionalPinEnded,
    Refusal,
    SecondStepMissing,
    SessionRefused,
)
from sekisho.domain.person import Kind
from sekisho.domain.second_step import SecondStep
from sekisho.domain.secret import LONGEST_ENTRY, SecretName
from sekisho.domain.session import SessionEnd
from sekisho.store import audit, certificates, notices, people, secrets, sessions, successors
from sekisho.usecases.cards import take_into_use
from sekisho.usecases.end_certificate import end_certificate
from sekisho.usecases.judge_entry import judge_entry
from sekisho.usecases.read_second_steps import second_steps_of
from sekisho.usecases.show_certificate import show_certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.certificate import Certificate
    from sekisho.domain.contract import Bank, Person
    from sekisho.domain.session import Session
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports


# Longer than any bank's renewal window: before that no certificate has a successor.
_RENEWED_WITHIN = timedelta(days=91)


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """What the browser gets: the cookie's token, and for an administrator what is asked next.

    `positions` are those of the card that would be asked, `step` is what the
    person has set up to be asked first.
    """

    token: bytes
    positions: tuple[int, ...]
    step: SecondStep | None = None


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

    def judge_and_open(tx: Connection) -> Refusal | OpenedSession:
        people.lock(tx, [person.id])
        # Ended while argon2 was busy: then it opens nothing any more.
        present = show(tx)
        secret = _set(present.secret)
        refusal = judge_entry(
            tx, present.person, secret, checked=checked, right=right, policy=bank.policy, actor=actor, now=now
        )
        if refusal is not None:
            return refusal
        if secret.ended(now):
            return ProvisionalPinEnded()
        step: SecondStep | None = None
        positions: tuple[int, ...] = ()
        if kind is Kind.ADMINISTRATOR:
            try:
                step = second_steps_of(tx, bank, person, now).first
            except CardMissing as lost:
                return lost
            positions = _question(tx, ports, person)
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
                secrets.clear_misses(tx, [person.id], [SecretName.PIN])
            _complete(tx, person, present.certificate, session_id, actor, now, language)
        return OpenedSession(token, positions, step)

    # A counted miss is told once it is committed.
    outcome = ports.db.write(judge_and_open)
    if isinstance(outcome, Refusal):
        raise outcome
    return outcome


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
        offered = second_steps_of(tx, bank, person, now).card
    person.check_door()
    if checked is None or not offered:
        raise SecondStepMissing
    table = ports.seal.open(checked.verifier, person.who.contract_id)
    right = card.answers(table, session.positions, answer)
    actor = audit.actor_of(person.who, address)

    def judge(tx: Connection) -> Refusal | None:
        present, secret = _whose(tx, certificate, SecretName.CARD)
        if secret is None:
            return SecondStepMissing()
        return judge_entry(tx, present, secret, checked=checked, right=right, policy=bank.policy, actor=actor, now=now)

    last = LastStep(SecondStep.CARD, person, certificate, session, actor, now, language)
    return complete_logon(ports, bank, last, judge, SecretName.CARD)


@dataclass(frozen=True, slots=True)
class LastStep:
    """The second step of one administrator's logon, and what there is to know of the logon."""

    step: SecondStep
    person: Person
    certificate: Certificate
    session: Session
    actor: Actor
    at: datetime
    language: str | None


def complete_logon(
    ports: Ports, bank: Bank, last: LastStep, judge: Callable[[Connection], Refusal | None], *secret: SecretName
) -> OpenedSession:
    """Complete an administrator's logon where `judge` has nothing against it; the session gets a new token.

    `judge` runs in the transaction, with the person held. What it refuses is
    told once that is committed, misses included. `secret` is the one that
    was entered, if any: its count begins anew.
    """
    token = ports.entropy(32)
    now, person, session = last.at, last.person, last.session

    def judge_and_complete(tx: Connection) -> Refusal | None:
        session.check(last.certificate.id, bank.policy, now)
        people.lock(tx, [person.id])
        if (refusal := judge(tx)) is not None:
            return refusal
        if not sessions.complete(tx, session.id, token_sha256(token), now):
            return SessionRefused()
        if last.step is SecondStep.CARD:
            take_into_use(tx, person, last.actor, now)
        secrets.ask(tx, person.id, ())
        secrets.clear_misses(tx, [person.id], [SecretName.PIN, *secret])
        present = certificates.get(tx, last.certificate.id)
        _complete(tx, person, present, session.id, last.actor, now, last.language, second_step=last.step.value)
        return None

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


def _whose(tx: Connection, certificate: Certificate, name: SecretName) -> tuple[Person, secrets.Secret | None]:
    person = people.find(tx, certificate.person)
    if person is None:
        raise RuntimeError("a certificate without a person")
    return person, secrets.of(tx, person.id, [name]).get(name)


def _question(tx: Connection, ports: Ports, person: Person) -> tuple[int, ...]:
    """Return the card's question. Whoever lost the card is asked another step, and this question has no answer."""
    known = secrets.of(tx, person.id, [SecretName.CARD]).get(SecretName.CARD)
    asked = () if known is None else known.asked
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
    **how: str,
) -> None:
    """Do what the last step of a logon brings with it."""
    if language is not None and language != person.language:
        people.remember_language(tx, person.id, language)
    sessions.end_of_people(tx, [person.id], SessionEnd.ELSEWHERE, now, but=session_id)
    audit.add(tx, "logged-on", actor, at=now, who=person.who, person_id=person.id, serial=certificate.serial, **how)
    if certificate.not_after - now < _RENEWED_WITHIN:
        successors.confirm(tx, certificate.id, now)
    if certificate.first_logon_at is not None or not certificates.mark_first_logon(tx, certificate.id, now):
        return
    notices.add(tx, person.id, "logon-new-certificate", now)
    if certificate.supersedes is not None:
        older = certificates.get(tx, certificate.supersedes)
        end_certificate(tx, older, ending=Ending.SUPERSEDED, reason=Reason.SUPERSEDED, actor=actor, now=now)
