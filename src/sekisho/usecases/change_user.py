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
from sekisho.usecases.journal_endings import journal_at_once

if TYPE_CHECKING:
    from collections.abc import Sequence
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

    @property
    def confirmation(self) -> Confirmation:
        """The same without the user."""
        return Confirmation(self.session, self.certificate_id, self.confirmation_pin, self.address)


def permit_reissue(ports: Ports, *, bank: Bank, change: Change) -> datetime:
    """End the user's present certificate at once and permit a new one; return until when it may be acquired.

    The old certificate, its sessions and any permit still open end in the
    transaction that grants the new permit. The user needs no certificate to
    begin with: a permit whose window went by is granted anew in the same way.
    """
    return permit_reissues(ports, bank=bank, confirmation=change.confirmation, user_ids=[change.user_id])


def permit_reissues(ports: Ports, *, bank: Bank, confirmation: Confirmation, user_ids: Sequence[str]) -> datetime:
    """Do so for many users at once: for all of them, or where one is unknown for none."""
    now = ports.now()
    until = now + bank.policy.acquisition_window

    def reissue(tx: Connection, administrator: Person, actor: Actor) -> None:
        for user in _hold_users(tx, administrator, user_ids):
            reissue_of(tx, user, actor, now=now, until=until)

    confirmed(ports, bank=bank, confirmation=confirmation, now=now, act=reissue)
    journal_at_once(ports, bank=bank.code)
    return until


def reissue_of(tx: Connection, person: Person, actor: Actor, *, now: datetime, until: datetime) -> None:
    """End whatever the person, who is held, has or could get, grant a permit until `until`, and tell them."""
    end_all(tx, person, Ending.REISSUED, Reason.SUPERSEDED, actor, now)
    permit_id = permits.grant(tx, person.id, now=now, expires_at=until)
    audit.add(tx, "permit-granted", actor, at=now, who=person.who, person_id=person.id, permit=permit_id)
    tell_both(tx, person, "certificate-reissued", now, until=until.isoformat())


def revoke_of_user(ports: Ports, *, bank: Bank, change: Change) -> None:
    """End the user's certificate at once, for good and without a new permit. Raises `NothingToRevoke`."""
    revoke_of_users(ports, bank=bank, confirmation=change.confirmation, user_ids=[change.user_id])


def revoke_of_users(ports: Ports, *, bank: Bank, confirmation: Confirmation, user_ids: Sequence[str]) -> None:
    """Do so for many users at once. Raises `NothingToRevoke` where none of them has anything that could end."""
    now = ports.now()

    def revoke(tx: Connection, administrator: Person, actor: Actor) -> None:
        users = _hold_users(tx, administrator, user_ids)
        ended = [user for user in users if end_all(tx, user, Ending.REVOKED, Reason.PRIVILEGE_WITHDRAWN, actor, now)]
        if not ended:
            raise NothingToRevoke
        for user in ended:
            tell_both(tx, user, "certificate-revoked", now)

    confirmed(ports, bank=bank, confirmation=confirmation, now=now, act=revoke)
    journal_at_once(ports, bank=bank.code)


def _hold_users(tx: Connection, administrator: Person, user_ids: Sequence[str]) -> list[Person]:
    found = [find_user(tx, administrator.who, user_id).id for user_id in user_ids]
    held = people.hold_all(tx, found)
    return [held[user_id] for user_id in sorted(held)]


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
    orders.void_unfinished(tx, [user.id], now)
    ended = [
        end_certificate(tx, certificate, ending=ending, reason=reason, actor=actor, now=now)
        for certificate in certificates.not_ended(tx, user.id)
    ]
    return bool(withdrawn) or any(ended)


def tell_both(tx: Connection, user: Person, code: str, now: datetime, **detail: str) -> None:
    """Tell the user and their administrator the same; an administrator is told once."""
    for person_id in dict.fromkeys((user.id, _id_of(tx, user.who.administrator))):
        notices.add(tx, person_id, code, now, user_id=user.who.user_id, **detail)


def _id_of(tx: Connection, who: PersonId) -> int:
    person = people.find(tx, who)
    if person is None:
        raise RuntimeError("a contract without its administrator")
    return person.id
