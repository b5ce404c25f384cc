"""What the first screen after a logon shows, and the inbox."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from sekisho.domain.customer_card import ON_ITS_WAY
from sekisho.domain.person import Kind
from sekisho.domain.request_forms import ENDED, FormState
from sekisho.domain.secret import PINS
from sekisho.store import cards, notices, permits, request_forms, secrets, sessions, successors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.certificate import Certificate
    from sekisho.domain.contract import Bank
    from sekisho.domain.customer_card import CustomerCard
    from sekisho.domain.permit import Permit
    from sekisho.domain.request_forms import RequestForm
    from sekisho.domain.secret import SecretName
    from sekisho.store.notices import Notice
    from sekisho.store.sessions import PastLogon
    from sekisho.usecases.ports import Ports
    from sekisho.usecases.resume_session import LoggedOn

_NOTICES_ON_STATUS = 5
_NOTICES_IN_INBOX = 100
_FORMS = 20
_RETURNED_LATELY = timedelta(days=14)


class Renewal(StrEnum):
    """A certificate near its end: to be renewed, or renewed already and the new one not used yet."""

    DUE = "due"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Status:
    """The last logons before this one, the newest notices, and for an administrator the permits that wait.

    Of all notices `unread` were not read yet. `forms` are for an administrator the request forms that the branch has in
    hand, and those that it returned lately; `new_card` is the one that takes
    the place of a lost one, until it is in use.

    `renewal` says how the certificate's renewal stands from when its window is open.
    `pins_old` tells whether a PIN is so old that the policy asks for a change.
    """

    last_logons: list[PastLogon]
    notices: list[Notice]
    unread: int
    waiting: list[Permit]
    pins_old: bool
    renewal: Renewal | None
    forms: Sequence[RequestForm] = ()
    new_card: CustomerCard | None = None


def read_status(ports: Ports, *, bank: Bank, logged_on: LoggedOn) -> Status:
    """Return what the status screen shows."""
    now = ports.now()
    person = logged_on.person
    with ports.db.read() as tx:
        waiting, forms, on_its_way = [], [], []
        if person.who.kind is Kind.ADMINISTRATOR:
            forms = request_forms.of_contract(tx, person.who.bank, person.who.contract_id, most=_FORMS)
            on_its_way = [one for one in cards.of_contract(tx, person.who, *ON_ITS_WAY) if one.expected_at is not None]
            waiting = permits.open_of_contract(tx, person.who.bank, person.who.contract_id, now)
        newest, unread = notices.newest(tx, person.id, _NOTICES_ON_STATUS)
        return Status(
            last_logons=sessions.last_logons(tx, person.id, bank.policy.last_logons_shown, but=logged_on.session.id),
            notices=newest,
            unread=unread,
            waiting=waiting,
            renewal=_renewal(tx, bank, logged_on.certificate, now),
            forms=[form for form in forms if _to_be_told(form, now)],
            new_card=on_its_way[0] if on_its_way else None,
            pins_old=any(now - at >= bank.policy.pin_age for at in secrets.set_since(tx, person.id, PINS).values()),
        )


def _to_be_told(form: RequestForm, now: datetime) -> bool:
    if form.state is FormState.RETURNED:
        return form.moved_at is not None and now - form.moved_at < _RETURNED_LATELY
    return form.state not in ENDED


def _renewal(tx: Connection, bank: Bank, certificate: Certificate, now: datetime) -> Renewal | None:
    if now < certificate.not_after - bank.policy.renewal_window:
        return None
    renewed = any(one.in_force(now) for one in successors.of(tx, [certificate.id]))
    return Renewal.DONE if renewed else Renewal.DUE


def read_pins(ports: Ports, *, logged_on: LoggedOn) -> Mapping[SecretName, datetime]:
    """Return when each of the person's PINs was set."""
    with ports.db.read() as tx:
        return secrets.set_since(tx, logged_on.person.id, PINS)


def read_inbox(ports: Ports, *, logged_on: LoggedOn) -> list[Notice]:
    """Return the inbox as it was before this look, and mark what is in it as read."""
    now = ports.now()
    with ports.db.read() as tx:
        inbox = notices.of(tx, logged_on.person.id, _NOTICES_IN_INBOX)
    if any(notice.read_at is None for notice in inbox):
        ports.db.write(lambda tx: notices.mark_read(tx, logged_on.person.id, inbox[0].id, now))
    return inbox
