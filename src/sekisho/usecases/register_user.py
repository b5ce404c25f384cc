"""The administrator registers a user with provisional PINs and a permit to acquire (J7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sekisho.domain.entries import LONGEST_COMPUTER, mail_address_problem, name_problem, one_line, read_mail_address
from sekisho.domain.errors import DetailsNotAllowed, UserIdTaken, UsersFull
from sekisho.domain.person import PersonId, is_user_id
from sekisho.domain.secret import normal_form
from sekisho.store import audit, notices, people, permits
from sekisho.usecases.confirm import Confirmation, confirmed
from sekisho.usecases.provisional_pins import IssuedPins, draw_pins, put_pins

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank, Person
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports


@dataclass(frozen=True, slots=True)
class UserDetails:
    """What the administrator says of a user, as it was typed; `applications` are codes of the bank's applications.

    `computer` is what they call the computer that holds the certificate, where there is one.
    """

    name: str
    mail_address: str
    applications: Collection[str]
    computer: str = ""


def read_details(typed: UserDetails, bank: Bank, *, user_id: str | None = None) -> UserDetails:
    """Return the details in the form in which they are kept; raise `DetailsNotAllowed` naming every wrong field.

    `user_id` is judged with them where the user is new.
    """
    known = [application.code for application in bank.applications]
    read = UserDetails(
        name=one_line(typed.name),
        mail_address=read_mail_address(typed.mail_address),
        applications=tuple(code for code in known if code in typed.applications),
        computer=one_line(typed.computer),
    )
    problems = {
        "user_id": None if user_id is None else _user_id_problem(user_id),
        "name": name_problem(read.name),
        "mail_address": mail_address_problem(read.mail_address),
        "computer": name_problem(read.computer, LONGEST_COMPUTER) if read.computer else None,
    }
    if wrong := {field: problem for field, problem in problems.items() if problem}:
        raise DetailsNotAllowed(fields=wrong)
    return read


def register_user(
    ports: Ports, *, bank: Bank, confirmation: Confirmation, user_id: str, details: UserDetails
) -> IssuedPins:
    """Register the user, grant a permit, and return the provisional PINs, which nothing keeps.

    Raises `UserIdTaken` where the contract has, or ever had, a user of that
    ID, and `UsersFull` at the policy's number of users.
    """
    now = ports.now()
    user_id = normal_form(user_id)
    details = read_details(details, bank, user_id=user_id)
    administrator = confirmation.session.person
    who = PersonId(administrator.bank, administrator.contract_id, user_id)
    drawn = draw_pins(ports, who)
    until = now + bank.policy.acquisition_window

    def register(tx: Connection, present: Person, actor: Actor) -> None:
        # The administrator's row is held: whoever registers at the same time waits here.
        if people.was_ever(tx, who):
            raise UserIdTaken(fields={"user_id": "user-id-taken"})
        if people.number_of_users(tx, who.bank, who.contract_id) >= bank.policy.users_of_contract:
            raise UsersFull
        person_id = people.add(
            tx,
            who,
            name=details.name,
            mail_address=details.mail_address,
            language=present.language,
            now=now,
            applications=list(details.applications),
        )
        put_pins(tx, person_id, drawn, remembered=bank.policy.pins_remembered, now=now, until=until)
        audit.add(
            tx,
            "user-registered",
            actor,
            at=now,
            who=who,
            person_id=person_id,
            applications=", ".join(details.applications),
        )
        permit_id = permits.grant(tx, person_id, now=now, expires_at=until)
        audit.add(tx, "permit-granted", actor, at=now, who=who, person_id=person_id, permit=permit_id)
        for told in (person_id, present.id):
            notices.add(tx, told, "user-registered", now, user_id=user_id, until=until.isoformat())

    confirmed(ports, bank=bank, confirmation=confirmation, now=now, act=register)
    return IssuedPins(who, details.name, drawn.pins, until, acquires=True)


def _user_id_problem(user_id: str) -> str | None:
    if not user_id:
        return "entry-missing"
    return None if is_user_id(user_id) else "user-id-form"
