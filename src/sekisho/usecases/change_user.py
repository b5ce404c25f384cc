"""The administrator decides about a user's certificate: 「再発行」 or 「失効」 (J2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sekisho.domain.certificate import Ending, Reason
from sekisho.domain.errors import NothingToRevoke, UserUnknown
from sekisho.domain.person import PersonId, is_user_id
from sekisho.domain.secret import normal_form
from sekisho.store import audit, certificates, notices, orders, people, permits, secrets
from sekisho.usecases.confirm import Confirmation, confirmed
from sekisho.usecases.end_certificate import end_certificate

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank, Person
    from sekisho.domain.session import Session
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports


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
        end_all(tx, user, Ending.REISSUED, Reason.SUPERSEDED, actor, now)
        permit_id = permits.grant(tx, user.id, now=now, expires_at=until)
        audit.add(tx, "permit-granted", actor, at=now, who=user.who, person_id=user.id, permit=permit_id)
        tell_both(tx, user, "certificate-reissued", now, until=until.isoformat())

    _confirmed(ports, bank, change, now, reissue)
    return until


def revoke_of_user(ports: Ports, *, bank: Bank, change: Change) -> None:
    """End the user's certificate at once, for good and without a new permit. Raises `NothingToRevoke`."""
    now = ports.now()

    def revoke(tx: Connection, user: Person, actor: Actor) -> None:
        reason = Reason.PRIVILEGE_WITHDRAWN
        if not end_all(tx, user, Ending.REVOKED, reason, actor, now):
            raise NothingToRevoke
        tell_both(tx, user, "certificate-revoked", now)

    _confirmed(ports, bank, change, now, revoke)


def _confirmed(
    ports: Ports, bank: Bank, change: Change, now: datetime, act: Callable[[Connection, Person, Actor], None]
) -> None:
    """Run `act` on the user in the transaction in which the administrator's confirmation PIN is judged right."""

    def on_user(tx: Connection, administrator: Person, actor: Actor) -> None:
        user = find_user(tx, administrator.who, change.user_id)
        act(tx, people.hold(tx, user.id), actor)

    confirmation = Confirmation(change.session, change.certificate_id, change.confirmation_pin, change.address)
    confirmed(ports, bank=bank, confirmation=confirmation, now=now, act=on_user)


def find_user(tx: Connection, administrator: PersonId, user_id: str) -> Person:
    """Return a user of the administrator's contract by what was typed or sent. Raises `UserUnknown`."""
    user_id = normal_form(user_id)
    who = PersonId(administrator.bank, administrator.contract_id, user_id)
    user = people.find(tx, who) if is_user_id(user_id) else None
    if user is None:
        raise UserUnknown
    return user


def end_all(tx: Connection, user: Person, ending: Ending, reason: Reason, actor: Actor, now: datetime) -> bool:
    """End whatever the user holds or could still get; tell whether there was anything."""
    withdrawn = permits.withdraw_open(tx, user.id, now)
    secrets.end_provisional(tx, user.id, now)
    # An order whose certificate was never stored may have been signed: it is
    # voided, so that it cannot come to life beside the new one.
    orders.void_unfinished(tx, user.id, now)
    ended = [
        end_certificate(tx, certificate, ending=ending, reason=reason, actor=actor, now=now)
        for certificate in certificates.not_ended(tx, user.id)
    ]
    return bool(withdrawn) or any(ended)


def tell_both(tx: Connection, user: Person, code: str, now: datetime, **detail: str) -> None:
    """Tell the user and their administrator the same."""
    for person_id in (user.id, _id_of(tx, user.who.administrator)):
        notices.add(tx, person_id, code, now, user_id=user.who.user_id, **detail)


def _id_of(tx: Connection, who: PersonId) -> int:
    person = people.find(tx, who)
    if person is None:
        raise RuntimeError("a contract without its administrator")
    return person.id
