"""The administrator decides about a user's certificate: 「再発行」 or 「失効」 (J2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sekisho.domain.certificate import Ending, Reason
from sekisho.domain.errors import NothingToRevoke, UserUnknown
from sekisho.domain.person import PersonId, is_user_id
from sekisho.domain.secret import SecretName, normal_form
from sekisho.store import audit, certificates, notices, orders, people, permits, secrets
from sekisho.usecases.end_certificate import end_certificate
from sekisho.usecases.judge_entry import judge_entry
from sekisho.usecases.log_on import check_entry

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank, Person
    from sekisho.domain.errors import Refusal
    from sekisho.domain.session import Session
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports


_ASKED = SecretName.CONFIRMATION_PIN


@dataclass(frozen=True, slots=True)
class Change:
    """Who decides, about whom, and the ご契約先確認暗証番号 that was typed for it."""

    session: Session
    certificate_id: int
    user_id: str
    confirmation_pin: str
    address: str


def permit_reissue(ports: Ports, *, bank: Bank, change: Change) -> datetime:
    """End the user's present certificate at once and permit a new one; return until when it may be acquired.

    The old certificate, its sessions and any permit still open end in the
    transaction that grants the new permit. The user needs no certificate to
    begin with: a permit whose window went by is granted anew in the same way.
    """
    now = ports.now()
    until = now + bank.policy.acquisition_window

    def reissue(tx: Connection, user: Person, actor: Actor) -> None:
        _end_all(tx, user, Ending.REISSUED, Reason.SUPERSEDED, actor, now)
        permit_id = permits.grant(tx, user.id, now=now, expires_at=until)
        audit.add(tx, "permit-granted", actor, at=now, who=user.who, person_id=user.id, permit=permit_id)
        _tell_both(tx, user, "certificate-reissued", now, until=until.isoformat())

    _confirmed(ports, bank, change, now, reissue)
    return until


def revoke_of_user(ports: Ports, *, bank: Bank, change: Change) -> None:
    """End the user's certificate at once, for good and without a new permit. Raises `NothingToRevoke`."""
    now = ports.now()

    def revoke(tx: Connection, user: Person, actor: Actor) -> None:
        reason = Reason.PRIVILEGE_WITHDRAWN
        if not _end_all(tx, user, Ending.REVOKED, reason, actor, now):
            raise NothingToRevoke
        _tell_both(tx, user, "certificate-revoked", now)

    _confirmed(ports, bank, change, now, revoke)


def _confirmed(
    ports: Ports, bank: Bank, change: Change, now: datetime, act: Callable[[Connection, Person, Actor], None]
) -> None:
    """Run `act` on the user in the transaction in which the administrator's confirmation PIN is judged right."""
    check_entry(change.confirmation_pin, "confirmation_pin")
    who = change.session.person
    with ports.db.read() as tx:
        administrator = people.get(tx, _id_of(tx, who))
        checked = secrets.of(tx, administrator.id, [_ASKED])[_ASKED]
    right = ports.pins.verify(checked.verifier, change.confirmation_pin)
    actor = audit.actor_of(who, change.address)

    def judge_and_act(tx: Connection) -> Refusal | None:
        change.session.check(change.certificate_id, bank.policy, now)
        present = people.hold(tx, administrator.id)
        secret = secrets.of(tx, administrator.id, [_ASKED])[_ASKED]
        refusal = judge_entry(
            tx, present, secret, checked=checked, right=right, policy=bank.policy, actor=actor, now=now
        )
        if refusal is None:
            user_id = normal_form(change.user_id)
            user = people.find(tx, PersonId(who.bank, who.contract_id, user_id)) if is_user_id(user_id) else None
            if user is None:
                raise UserUnknown
            act(tx, people.hold(tx, user.id), actor)
            secrets.clear_misses(tx, administrator.id, [_ASKED])
        return refusal

    # A counted miss is told once it is committed.
    if (refusal := ports.db.write(judge_and_act)) is not None:
        raise refusal


def _end_all(tx: Connection, user: Person, ending: Ending, reason: Reason, actor: Actor, now: datetime) -> bool:
    """End whatever the user holds or could still get; tell whether there was anything."""
    withdrawn = permits.withdraw_open(tx, user.id, now)
    # An order whose certificate was never stored may have been signed: it is
    # voided, so that it cannot come to life beside the new one.
    orders.void_unfinished(tx, user.id, now)
    ended = [
        end_certificate(tx, certificate, ending=ending, reason=reason, actor=actor, now=now)
        for certificate in certificates.not_ended(tx, user.id)
    ]
    return bool(withdrawn) or any(ended)


def _tell_both(tx: Connection, user: Person, code: str, now: datetime, **detail: str) -> None:
    for person_id in (user.id, _id_of(tx, user.who.administrator)):
        notices.add(tx, person_id, code, now, user_id=user.who.user_id, **detail)


def _id_of(tx: Connection, who: PersonId) -> int:
    person = people.find(tx, who)
    if person is None:
        raise RuntimeError("a contract without its administrator")
    return person.id
