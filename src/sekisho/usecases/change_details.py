"""The administrator changes what stands about a user: name, mail address, applications."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.errors import MailAddressConfirmed
from sekisho.store import audit, certificates, notices, orders, people
from sekisho.usecases.change_user import find_user
from sekisho.usecases.confirm import Confirmation, confirmed
from sekisho.usecases.register_user import UserDetails, read_details

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank, Person
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports


def change_details(ports: Ports, *, bank: Bank, confirmation: Confirmation, user_id: str, details: UserDetails) -> None:
    """Change them, and tell both. Raises `UserUnknown`, `DetailsNotAllowed` or `MailAddressConfirmed`.

    A mail address that the user has confirmed stays: the code that guards an
    acquisition with provisional PINs goes there, and must not come to the
    administrator, who knows those PINs.
    """
    now = ports.now()
    details = read_details(details, bank)

    def change(tx: Connection, administrator: Person, actor: Actor) -> None:
        user = people.hold(tx, find_user(tx, administrator.who, user_id).id)
        if user.mail_confirmed and details.mail_address != user.mail_address:
            raise MailAddressConfirmed(fields={"mail_address": "mail-address-confirmed"})
        held = certificates.latest_of(tx, [user.id]).get(user.id)
        computer = None if held is None else orders.origin_of(tx, held.order_id).computer
        was = (user.name, user.mail_address, user.applications, computer or "")
        if was == (details.name, details.mail_address, tuple(details.applications), details.computer):
            return
        if held is not None:
            orders.name_computer(tx, held.order_id, details.computer or None)
        people.change_details(
            tx,
            user.id,
            name=details.name,
            mail_address=details.mail_address,
            applications=list(details.applications),
        )
        audit.add(
            tx,
            "user-changed",
            actor,
            at=now,
            who=user.who,
            person_id=user.id,
            mail_address_changed=int(details.mail_address != user.mail_address),
            applications=", ".join(details.applications),
        )
        for told in (user.id, administrator.id):
            notices.add(tx, told, "user-changed", now, user_id=user.who.user_id)

    confirmed(ports, bank=bank, confirmation=confirmation, now=now, act=change)
