"""The person's new computer gets its certificate (J3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sekisho.domain.errors import (
    KeyReused,
    MailAddressMissing,
    MailedCodeNeeded,
    MailedCodeWrong,
    NotAccepted,
    PermitMissing,
    PermitRefused,
    ProvisionalPinEnded,
)
from sekisho.domain.person import PersonId, is_contract_id, is_user_id
from sekisho.domain.secret import LONGEST_ENTRY, PINS, SecretName, normal_form
from sekisho.store import audit, codes, notices, orders, people, permits, secrets
from sekisho.store.audit import Actor
from sekisho.store.codes import Purpose
from sekisho.usecases.finish_order import Unfinished, finish_orders
from sekisho.usecases.mailed_code import CodeFor, code_right, mail_code_to, no_mail
from sekisho.usecases.place_orders import Request, place_orders, request_of
from sekisho.usecases.service_hours import check_open

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.certificate import IssuedCertificate, KeyHeld
    from sekisho.domain.contract import Bank, Person
    from sekisho.pki.csr import Csr
    from sekisho.store.codes import MailedCode
    from sekisho.store.orders import PlacedOrder
    from sekisho.usecases.mailed_code import CodeMail
    from sekisho.usecases.ports import Ports

# No row has this id: what is asked for nobody costs what it costs for somebody.
_NOBODY = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """Who somebody without a certificate says they are, as it was typed; `user_id` is None for the administrator.

    `mailed_code` is asked besides where the PINs are provisional, and may be empty else.
    """

    contract_id: str
    user_id: str | None
    pin: str
    confirmation_pin: str
    mailed_code: str = ""


@dataclass(frozen=True, slots=True)
class _Proven:
    """A claim whose PINs were right when they were checked against `known`, and what it asks for.

    `code` is the mailed code that was right, where one was asked.
    """

    known: Mapping[SecretName, secrets.Secret]
    wanted: Request
    code: MailedCode | None = None


def acquire_certificate(
    ports: Ports, *, bank: Bank, claim: Claim, csr: Csr, held: KeyHeld, address: str, mail: CodeMail = no_mail
) -> IssuedCertificate:
    """Spend the person's permit on the key in `csr` and return the certificate.

    Asking again with the same key returns the same bytes while that
    certificate is in force. The order is committed before the CA signs:
    after a crash the database names every certificate that may exist, so
    each one can be completed or revoked.

    Whatever is wrong with the claim, the answer is `NotAccepted` and the
    work the same: two argon2 checks and the same statements. Only whoever
    knows both PINs, and they are provisional, is asked for a mailed code.
    That there is no permit is told to whoever knows both, too, unless PINs
    were guessed in that person's name of late (ADR 0103).
    """
    now = ports.now()
    check_open(bank.policy, now)
    ports.compromised.check(csr.spki)
    who = _read_claim(bank.code, claim)
    with ports.db.read() as tx:
        person = people.find(tx, who)
        known = secrets.of(tx, _NOBODY if person is None else person.id, PINS)
    right = _verify_both(ports, known, claim)
    limit = bank.policy.misses_before_closed
    good = right and person is not None and person.door_open
    # Everybody who may be told nothing costs the same looks, right or wrong, known or not.
    looked_at = person is None or not good or person.guessed_at(limit, now)
    quiet = looked_at and _may_be_a_guess(ports, _NOBODY if person is None else person.id, csr, now)
    if person is None or not good or quiet:
        # A right entry never counts, whatever keeps it from taking effect. A
        # miss is counted in a transaction of its own.
        guessed = _NOBODY if right or person is None else person.id
        ports.db.write(lambda tx: _refuse(tx, who, guessed, address, limit, now))
        raise NotAccepted
    actor = audit.actor_of(who, address)
    wanted = request_of(ports, bank, person, csr, held=held, actor=actor, now=now)
    code = None
    try:
        if any(secret.provisional_until is not None for secret in known.values()):
            code = _ask_code(ports, person, known, wanted, claim.mailed_code, limit, mail)
        return ports.crowd.serve(_issue, ports, _Proven(known, wanted, code))
    except (PermitRefused, KeyReused):
        # Guesses in parallel may have reached the limit while argon2 was busy.
        with ports.db.read() as tx:
            present = people.get(tx, person.id)
        if present.guessed_at(limit, now) and _may_be_a_guess(ports, person.id, csr, now):
            ports.db.write(lambda tx: _refuse(tx, who, _NOBODY, address, limit, now))
            raise NotAccepted from None
        raise


def _may_be_a_guess(ports: Ports, person_id: int, csr: Csr, now: datetime) -> bool:
    """Tell whether right PINs may come of many guesses, of which nothing counted (ADR 0103).

    Not with an open permit, against which each wrong pair counts, nor with a
    key that was ordered for the person: no guesser has that.
    """
    with ports.db.read() as tx:
        before = orders.of_keys(tx, [csr.spki_sha256]).get(csr.spki_sha256)
        permit = permits.latest(tx, person_id)
    own = before is not None and before.person_id == person_id
    return not own and (permit is None or not permit.is_open(now))


def _ask_code(
    ports: Ports,
    person: Person,
    known: Mapping[SecretName, secrets.Secret],
    wanted: Request,
    entry: str,
    limit: int,
    mail: CodeMail,
) -> MailedCode | None:
    """Return the mailed code that was typed right, and None where the key was ordered before, so that none is asked.

    Whoever handed over provisional PINs knows them as well; the code shows
    that the user is there (rules: provisional PIN). Wrong ones count against
    the permit, as wrong PINs do.
    """
    now = wanted.at
    with ports.db.read() as tx:
        before = orders.of_keys(tx, [wanted.csr.spki_sha256]).get(wanted.csr.spki_sha256)
        permit = permits.latest(tx, person.id)
        last = codes.latest(tx, person.id, Purpose.ACQUISITION)
    if before is not None and before.person_id == person.id:
        return None
    if permit is None:
        raise PermitMissing
    permit.spend(now)
    if any(secret.ended(now) for secret in known.values()):
        raise ProvisionalPinEnded
    if person.mail_address is None:
        raise MailAddressMissing
    asked = CodeFor(person, person.mail_address, Purpose.ACQUISITION, permit.id)
    if not entry.strip():
        mail_code_to(ports, asked, mail, now)
        raise MailedCodeNeeded
    if code_right(ports, last, asked, entry, now):
        return last
    ports.db.write(lambda tx: _count(tx, "mailed-code-missed", wanted.who, person.id, wanted.actor, limit, now))
    raise MailedCodeWrong


def _refuse(tx: Connection, who: PersonId, guessed: int, address: str, limit: int, now: datetime) -> None:
    """Count a miss against the open permit of whoever it was guessed for, and tell them if that ended it.

    Without one it counts apart and closes nothing, and they are told once
    that somebody guesses.
    """
    reached = people.count_guess(tx, guessed, limit=limit, now=now)
    notices.tell_of_guesses(tx, guessed if reached else _NOBODY, now)
    _count(tx, "acquisition-not-accepted", who, guessed, Actor("unknown", address), limit, now)


def _count(tx: Connection, action: str, who: PersonId, guessed: int, actor: Actor, limit: int, now: datetime) -> None:
    misses = permits.count_miss(tx, guessed, limit=limit, now=now)
    secrets.end_provisional_of_ended_permit(tx, guessed, now)
    notices.tell_of_ended_permit(tx, guessed, now)
    audit.add(tx, action, actor, at=now, who=who, person_id=guessed or None, misses=misses)


def _issue(ports: Ports, proven: Sequence[_Proven]) -> list[IssuedCertificate | Exception]:
    """Issue to all who came at once: tx 1 places their orders, the CA signs them, tx 2 stores what it signed."""
    placed = ports.db.write_all(_place, proven)
    ordered = [
        Unfinished(order, one.wanted.actor)
        for one, order in zip(proven, placed, strict=True)
        if not isinstance(order, Exception)
    ]
    issued = iter(finish_orders(ports, ordered))
    return [order if isinstance(order, Exception) else next(issued) for order in placed]


def _place(tx: Connection, proven: Sequence[_Proven]) -> list[PlacedOrder | Exception]:
    """Place the orders of those who may still have one: a door may be shut, or a PIN changed, since it was checked."""
    person_ids = [one.wanted.person_id for one in proven]
    present = people.hold_all(tx, person_ids)
    known = secrets.of_people(tx, person_ids, PINS)
    admitted = [
        present[one.wanted.person_id].door_open and known.get(one.wanted.person_id) == one.known for one in proven
    ]
    placed = iter(place_orders(tx, [one.wanted for one, good in zip(proven, admitted, strict=True) if good]))
    outcomes = [next(placed) if good else NotAccepted() for good in admitted]
    for one, outcome in zip(proven, outcomes, strict=True):
        if one.code is not None and not isinstance(outcome, Exception):
            _use(tx, one.code, one.wanted)
    return outcomes


def _use(tx: Connection, code: MailedCode, wanted: Request) -> None:
    """Spend the code on the order, both or neither; from then on the person is known to read that address."""
    if not codes.use(tx, code.id, wanted.at):
        raise MailedCodeWrong
    people.confirm_mail_address(tx, wanted.person_id, code.mail_address, wanted.at)


def _read_claim(bank: str, claim: Claim) -> PersonId:
    """Return whom the claim names; what has not the form of an ID names nobody, and is not looked at further."""
    contract_id = normal_form(claim.contract_id).replace("-", "")
    user_id = None if claim.user_id is None else normal_form(claim.user_id)
    if not is_contract_id(contract_id) or (user_id is not None and not is_user_id(user_id)):
        return PersonId(bank, "", None if user_id is None else "")
    return PersonId(bank, contract_id, user_id)


def _verify_both(ports: Ports, known: dict[SecretName, secrets.Secret], claim: Claim) -> bool:
    """Check both PINs, always both, so that the time taken does not tell which was wrong."""
    entries = {SecretName.PIN: claim.pin, SecretName.CONFIRMATION_PIN: claim.confirmation_pin}
    right = True
    for name, entry in entries.items():
        secret = known.get(name)
        right &= ports.pins.verify(None if secret is None else secret.verifier, entry[: LONGEST_ENTRY + 1])
    return right
