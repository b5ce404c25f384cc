"""What an administrator can take the second step of a logon with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sekisho.domain.errors import CardMissing
from sekisho.domain.second_step import SecondStep
from sekisho.domain.secret import SecretName
from sekisho.store import passkeys, secrets

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank, Person
    from sekisho.store.passkeys import Passkey
    from sekisho.store.secrets import Secret
    from sekisho.usecases.ports import Ports


@dataclass(frozen=True, slots=True)
class SecondSteps:
    """What an administrator has, of what the bank offers. Who has nothing else has the card, unless it was lost."""

    card: bool
    totp: Secret | None
    passkeys: list[Passkey]
    interim: Secret | None = None

    @property
    def offered(self) -> list[SecondStep]:
        """What can be taken at a logon, what the person has set up first."""
        has = {
            SecondStep.PASSKEY: bool(self.passkeys),
            SecondStep.TOTP: self.totp is not None,
            SecondStep.INTERIM: self.interim is not None,
        }
        return [*(step for step, there in has.items() if there), *([SecondStep.CARD] if self.card else [])]

    @property
    def first(self) -> SecondStep:
        """What is asked first. Raises `CardMissing` where there is nothing, until a new card has been posted."""
        if not self.offered:
            raise CardMissing
        return self.offered[0]


def second_steps_of(tx: Connection, bank: Bank, person: Person, now: datetime) -> SecondSteps:
    """Return what the administrator may take the second step with.

    An app that stands in for a card counts at every bank, until its time is over.
    """
    offered = bank.policy.second_steps
    known = secrets.of(tx, person.id, [SecretName.TOTP, SecretName.CARD, SecretName.INTERIM])
    app, interim = (
        secret if (secret := known.get(name)) is not None and not secret.ended(now) else None
        for name in (SecretName.TOTP, SecretName.INTERIM)
    )
    if app is not None and app.provisional_until is None and SecondStep.TOTP not in offered:
        app = None
    keys = passkeys.of(tx, person.id) if SecondStep.PASSKEY in offered else []
    card = SecretName.CARD in known and (SecondStep.CARD in offered or not (app or keys))
    return SecondSteps(card, app, keys, interim)


def read_second_steps(ports: Ports, *, bank: Bank, person: Person) -> SecondSteps:
    """Return what the administrator may take the second step with."""
    with ports.db.read() as tx:
        return second_steps_of(tx, bank, person, ports.now())


def secret_owner(person: Person) -> str:
    """Name whom an authenticator app's secret is sealed for: nobody else's opens with it, nor does a card."""
    return f"totp:{person.who.bank}:{person.who.contract_id}:{person.id}"
