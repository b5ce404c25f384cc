"""Have an order signed and store what comes of it: the second half of every issuance."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sekisho.domain.certificate import Ending, Reason
from sekisho.domain.errors import KeyReused
from sekisho.store import audit, certificates, notices, orders, people
from sekisho.usecases.end_certificate import end_certificate

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.certificate import Certificate
    from sekisho.store.audit import Actor
    from sekisho.store.orders import PlacedOrder
    from sekisho.usecases.ports import Ports


def finish_order(ports: Ports, placed: PlacedOrder, *, actor: Actor) -> Certificate:
    """Return the certificate of a committed order, signing and storing it where that was not done.

    Safe to repeat after a crash at any point: the CA gives the same bytes
    for the same order, and of two who finish it at once the second finds
    what the first stored. Raises `CaAway` where the CA does not answer - the
    order stays - and `KeyReused` where its leave was taken back meanwhile;
    then the certificate is stored as ended, because it may exist outside.
    """
    with ports.db.read() as tx:
        stored = certificates.of_order(tx, placed.id)
    if stored is not None:
        return stored
    der = ports.cas[placed.bank].sign(placed.order)
    now = ports.now()
    with ports.db.write() as tx:
        stored = certificates.of_order(tx, placed.id)
        if stored is None:
            stored = certificates.save_issued(tx, placed, der, hashlib.sha256(der).digest(), now)
            audit.add(
                tx,
                "certificate-issued",
                actor,
                at=now,
                who=stored.person,
                person_id=placed.person_id,
                serial=stored.serial,
                held=stored.held.value,
            )
            voided = orders.get(tx, placed.id).voided_at is not None
            if voided:
                end_certificate(tx, stored, ending=Ending.REISSUED, reason=Reason.SUPERSEDED, actor=actor, now=now)
            else:
                _tell(tx, stored, placed.person_id, now)
        else:
            voided = stored.ended_at is not None
    if voided:
        raise KeyReused
    return stored


def _tell(tx: Connection, stored: Certificate, person_id: int, now: datetime) -> None:
    """Tell the person, and a user's administrator, that a certificate went out in the person's name."""
    notices.add(tx, person_id, "certificate-issued", now, user_id=stored.person.user_id)
    if stored.person.user_id is not None:
        administrator = people.find(tx, stored.person.administrator)
        if administrator is not None:
            notices.add(tx, administrator.id, "certificate-issued", now, user_id=stored.person.user_id)
