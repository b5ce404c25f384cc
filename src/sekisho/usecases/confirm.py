"""What somebody decides takes effect with their confirmation PIN, in the transaction in which that is judged right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from sekisho.domain.errors import Refusal
from sekisho.domain.secret import SecretName
from sekisho.store import audit, people, secrets
from sekisho.usecases.hold_logged_on import hold_logged_on
from sekisho.usecases.judge_entry import judge_entry
from sekisho.usecases.log_on import check_entry

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank, Person
    from sekisho.domain.session import Session
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports

    Outcome = TypeVar("Outcome")

_ASKED = SecretName.CONFIRMATION_PIN


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Who decides, from where, and the confirmation PIN that was typed for it."""

    session: Session
    certificate_id: int
    confirmation_pin: str
    address: str


def confirmed(
    ports: Ports,
    *,
    bank: Bank,
    confirmation: Confirmation,
    now: datetime,
    act: Callable[[Connection, Person, Actor], Outcome],
) -> Outcome:
    """Run `act` and return what it returns, where the confirmation PIN of whoever is logged on was right.

    `act` gets the person, held by the transaction. What it raises undoes all
    and counts nothing: a right entry never counts. A miss counts, and is
    raised once it is committed.
    """
    check_entry(confirmation.confirmation_pin, "confirmation_pin")
    session = confirmation.session
    with ports.db.read() as tx:
        person = people.find(tx, session.person)
        if person is None:
            raise RuntimeError("a session without a person")
        checked = secrets.of(tx, person.id, [_ASKED])[_ASKED]
    right = ports.pins.verify(checked.verifier, confirmation.confirmation_pin)
    actor = audit.actor_of(session.person, confirmation.address)

    def judge_and_act(tx: Connection) -> Refusal | Outcome:
        present = hold_logged_on(tx, person.id, session, confirmation.certificate_id, bank=bank, now=now)
        secret = secrets.of(tx, person.id, [_ASKED])[_ASKED]
        refusal = judge_entry(
            tx, present, secret, checked=checked, right=right, policy=bank.policy, actor=actor, now=now
        )
        if refusal is not None:
            return refusal
        outcome = act(tx, present, actor)
        secrets.clear_misses(tx, [person.id], [_ASKED])
        return outcome

    outcome = ports.db.write(judge_and_act)
    if isinstance(outcome, Refusal):
        raise outcome
    return outcome
