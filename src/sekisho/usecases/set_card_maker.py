"""Whom the print file of customer cards is encrypted for: set by a command alone, and shown at the console."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.pki.envelope import Recipient, RecipientNotUsable, read_recipient
from sekisho.store import audit, card_makers
from sekisho.usecases.change_policy import CommandNotAllowed

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports


def set_card_maker(ports: Ports, *, bank: Bank, certificate: bytes, actor: Actor) -> Recipient:
    """Set the certificate (PEM); the same again is no change and leaves no row.

    Raises `RecipientNotUsable`, and `CommandNotAllowed` in the sites' role.
    """
    now = ports.now()
    recipient, alone = read_recipient(certificate)
    if not recipient.in_force(now):
        raise RecipientNotUsable("it is not in force")

    def apply(tx: Connection) -> None:
        if not card_makers.may_set(tx):
            raise CommandNotAllowed("run sekisho card maker as the role that owns the tables")
        if card_makers.present(tx, bank.code) == alone:
            return
        card_makers.add(tx, bank.code, certificate=alone, by=actor.name, now=now)
        shown = recipient.sha256.hex()
        audit.add_of_bank(tx, "card-maker-set", actor, at=now, bank=bank.code, maker=shown, name=recipient.name)

    ports.db.write(apply)
    return recipient


def present_card_maker(ports: Ports, bank: str) -> Recipient | None:
    """Return whose certificate is set, in force or not; None where none is."""
    with ports.db.read() as tx:
        certificate = card_makers.present(tx, bank)
    return None if certificate is None else read_recipient(certificate)[0]
