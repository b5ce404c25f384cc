"""Have an order signed and store what comes of it: the second half of every issuance."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sekisho.domain.certificate import Ending, Reason
from sekisho.domain.errors import CaAway, KeyReused, SigningRefused, StoreAway, TooManyRequests
from sekisho.store import audit, certificates, notices, orders, people
from sekisho.store.certificates import NewCertificate
from sekisho.usecases.end_certificate import end_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.certificate import IssuedCertificate
    from sekisho.store.audit import Actor
    from sekisho.store.orders import PlacedOrder, Standing
    from sekisho.usecases.ports import Ports

log = logging.getLogger("sekisho.orders")


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A committed order, and who is to be written down for its certificate."""

    placed: PlacedOrder
    actor: Actor


@dataclass(frozen=True, slots=True)
class _Signed:
    placed: PlacedOrder
    actor: Actor
    der: bytes
    at: datetime


def finish_orders(ports: Ports, unfinished: Sequence[Unfinished]) -> list[IssuedCertificate | Exception]:
    """Sign and store what committed orders are for, where that was not done, and return each one's certificate.

    Safe to repeat after a crash at any point: the CA gives the same bytes
    for the same order, and of two who finish it at once the second finds
    what the first stored. In the place of a certificate there is `CaAway`
    where the CA does not answer - the order stays -, `KeyReused` where its
    leave was taken back meanwhile - then the certificate is stored as ended,
    because it may exist outside - and `SigningRefused` where the CA would
    not sign: the order ends. Raises `StoreAway`, never `TooManyRequests`:
    whoever reads that may take it that nothing was begun, and throw the key
    away.
    """
    try:
        return _finish(ports, unfinished)
    except TooManyRequests as late:
        raise StoreAway from late


def _finish(ports: Ports, unfinished: Sequence[Unfinished]) -> list[IssuedCertificate | Exception]:
    outcomes: dict[int, IssuedCertificate | Exception] = {}
    done = [one.placed.id for one in unfinished if one.placed.finished]
    if done:
        with ports.db.read() as tx:
            outcomes |= {order_id: _unended(one) for order_id, one in certificates.issued_of_orders(tx, done).items()}
    signed = []
    refused = []
    for one, der in _sign(ports, [one for one in unfinished if not one.placed.finished]):
        if isinstance(der, CaAway):
            outcomes[one.placed.id] = der
        elif isinstance(der, Exception):
            outcomes[one.placed.id] = SigningRefused()
            refused.append(one)
        else:
            signed.append(_Signed(one.placed, one.actor, der, ports.now()))
    if signed:
        stored = ports.db.write_all(_store, signed)
        outcomes |= {one.placed.id: outcome for one, outcome in zip(signed, stored, strict=True)}
    if refused:
        now = ports.now()
        for one in ports.db.write(lambda tx: _refuse(tx, refused, now)):
            log.error(
                "the CA refused to sign serial %032x, and its order has ended; the CA's log says why, "
                "sekisho orders refused lists all of them",
                one.placed.order.serial,
            )
    return [outcomes[one.placed.id] for one in unfinished]


def _refuse(tx: Connection, refused: Sequence[Unfinished], now: datetime) -> list[Unfinished]:
    """End orders that the CA would not sign, tell their people, and return those that had not ended before.

    It comes of a bug or an intruder, which somebody has to look at; asking the same again would not help.
    """
    people.lock(tx, [one.placed.person_id for one in refused])
    ended = [one for one in refused if orders.refuse(tx, one.placed.id, now)]
    for one in ended:
        audit.add(
            tx,
            "signing-refused",
            one.actor,
            at=now,
            who=one.placed.who,
            person_id=one.placed.person_id,
            serial=one.placed.order.serial,
        )
    told = [one.placed for one in ended if one.placed.voided_at is None]
    administrators = people.administrators_of(tx, [one.person_id for one in told]) if told else {}
    notices.add_all(tx, _told(told, administrators), "certificate-not-issued", now)
    return ended


def _sign(ports: Ports, unfinished: Sequence[Unfinished]) -> Iterator[tuple[Unfinished, bytes | Exception]]:
    """Ask each bank's CA for all that it is to sign; one that is away keeps nobody else from theirs."""
    of_bank: dict[str, list[Unfinished]] = {}
    for one in unfinished:
        of_bank.setdefault(one.placed.who.bank, []).append(one)
    for bank, mine in of_bank.items():
        try:
            yield from zip(mine, ports.cas[bank].sign_all([one.placed.order for one in mine]), strict=True)
        except CaAway as away:
            yield from ((one, away) for one in mine)


def _store(tx: Connection, signed: Sequence[_Signed]) -> list[IssuedCertificate | Exception]:
    """Store what was signed for orders; the people are held, so no leave is taken back meanwhile."""
    people.lock(tx, [one.placed.person_id for one in signed])
    standing = orders.standing_of(tx, [one.placed.id for one in signed])
    settled = [order_id for order_id, now in standing.items() if now.settled]
    stored = certificates.issued_of_orders(tx, settled) if settled else {}
    new = list({one.placed.id: one for one in signed if one.placed.id not in stored}.values())
    if new:
        for one, certificate in zip(new, _add(tx, new, standing), strict=True):
            if not standing[one.placed.id].voided:
                stored[one.placed.id] = certificate
            else:
                # Nothing was to come of its order any more when it was stored: it ends as it begins.
                end_certificate(
                    tx, certificate, ending=Ending.REISSUED, reason=Reason.SUPERSEDED, actor=one.actor, now=one.at
                )
    return [_unended(stored.get(one.placed.id)) for one in signed]


def _unended(certificate: IssuedCertificate | None) -> IssuedCertificate | KeyReused:
    return KeyReused() if certificate is None or certificate.over else certificate


def _add(tx: Connection, signed: Sequence[_Signed], standing: Mapping[int, Standing]) -> list[IssuedCertificate]:
    """Write certificates with their audit rows, and tell their people; return them in the same order."""
    now = max(one.at for one in signed)
    audited = [
        audit.row(
            "certificate-issued",
            one.actor,
            at=one.at,
            who=one.placed.who,
            person_id=one.placed.person_id,
            serial=one.placed.order.serial,
            held=one.placed.held.value,
        )
        for one in signed
    ]
    good = [one.placed for one in signed if not standing[one.placed.id].voided]
    administrators = {one.person_id: standing[one.id].administrator_id for one in good}
    told = notices.rows(_told(good, administrators), "certificate-issued", now)
    new = [NewCertificate(one.placed, one.placed.who, one.der, hashlib.sha256(one.der).digest()) for one in signed]
    added = certificates.add(tx, new, now, audited=audited, told=told)
    orders.finish(tx, [one.placed.id for one in signed])
    return added


def _told(placed: Sequence[PlacedOrder], administrators: Mapping[int, int]) -> list[tuple[int, dict[str, Any]]]:
    """Return whom to tell what came of orders: each person, and a user's administrator."""
    return [
        (person_id, {"user_id": one.who.user_id})
        for one in placed
        for person_id in sorted({one.person_id, administrators[one.person_id]})
    ]
