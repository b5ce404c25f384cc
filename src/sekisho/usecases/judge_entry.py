"""Judge one entry of a secret behind a certificate (J9): each secret its own count, the door shut at the limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.errors import ContractClosed, DoorClosed, EntryWrong, Refusal, UserSuspended
from sekisho.domain.session import SessionEnd
from sekisho.store import audit, notices, people, secrets, sessions
from sekisho.usecases.tell_users import SHUT_OUT, tell_users

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.contract import Person
    from sekisho.domain.policy import Policy
    from sekisho.store.audit import Actor
    from sekisho.store.secrets import Secret


def judge_entry(
    tx: Connection,
    person: Person,
    secret: Secret,
    *,
    checked: Secret,
    right: bool,
    policy: Policy,
    actor: Actor,
    now: datetime,
) -> Refusal | None:
    """Return None where a right entry takes effect, else the refusal to raise once `tx` has committed.

    `right` is the outcome of a check made before `tx` against `checked`,
    since argon2 is slow and a transaction must not be. Here it is decided:
    `person` is held by `tx`, and they and `secret` were read after that, so
    guesses in parallel stand in line, and whoever comes after the last
    allowed miss finds the door shut, right or wrong. Whoever changes a
    secret holds its person as well.

    The door decides, and the count is how it comes to be shut. A bank that
    lowers its limit leaves counts at or over it behind doors that are open:
    there a right entry is let in, and a wrong one shuts the door.
    """
    limit = policy.misses_before_closed
    try:
        person.check_door()
    except DoorClosed as closed:
        return closed
    if right:
        # One that was set anew meanwhile is another secret.
        return None if secret.verifier == checked.verifier else EntryWrong()
    misses = secrets.count_miss(tx, checked)
    audit.add(
        tx,
        "entry-missed",
        actor,
        at=now,
        who=person.who,
        person_id=person.id,
        secret=secret.name.value,
        misses=misses,
    )
    if misses is None or misses < limit:
        return EntryWrong()
    return _close(tx, person, actor, now)


def _close(tx: Connection, person: Person, actor: Actor, now: datetime) -> Refusal:
    """Shut the door that the limit was reached at: the user's own, or for an administrator the contract's."""
    people.close(tx, person.id, now)
    administrator = people.find(tx, person.who.administrator)
    if person.who.user_id is not None:
        sessions.end_of_people(tx, [person.id], SessionEnd.CLOSED, now)
        audit.add(tx, "user-suspended", actor, at=now, who=person.who, person_id=person.id)
        notices.add(tx, person.id, "user-suspended", now, user_id=person.who.user_id)
        if administrator is not None:
            notices.add(tx, administrator.id, "user-suspended", now, user_id=person.who.user_id)
        return UserSuspended()
    # Whoever of them is about to be let in waits here, and then finds the contract shut.
    everyone = people.ids_of_contract(tx, person.who.bank, person.who.contract_id)
    people.hold_all(tx, everyone)
    sessions.end_of_people(tx, everyone, SessionEnd.CLOSED, now)
    audit.add(tx, "contract-closed", actor, at=now, who=person.who, person_id=person.id)
    notices.add(tx, person.id, "contract-closed", now)
    tell_users(tx, person.who, SHUT_OUT, now)
    return ContractClosed()
