"""Compare orders and certificates with the CA's journal, and put right what a restored backup forgot."""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from sekisho.ca.blocks import JournalBroken
from sekisho.ca.segments import JournalInUse, JournalNotWritten
from sekisho.domain.certificate import Ending, KeyHeld, Reason
from sekisho.domain.issuing_ca import FIRST
from sekisho.domain.person import Kind, PersonId
from sekisho.pki.profile import BACKDATE, Order
from sekisho.store import audit, certificates, orders, people, permits, restores
from sekisho.store.certificates import NewCertificate
from sekisho.store.orders import NewOrder
from sekisho.usecases.end_certificate import end_certificate
from sekisho.usecases.findings import Disagreement, Finding, Tally
from sekisho.usecases.reconcile_staff import end_staff_again, journal_staff, reconcile_staff, staff_is_behind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.ca.record import EndedRecord, Recorded
    from sekisho.store.audit import Actor
    from sekisho.store.certificates import Standing
    from sekisho.store.orders import PlacedOrder
    from sekisho.usecases.ports import CaRecord, Ports

log = logging.getLogger("sekisho.ca")
_PAGE = 500
_LIST = re.compile(r"/(?:administrator|user)(\d*)(?:-(\d+))?\.crl$")


def notice_restore(ports: Ports, *, bank: str, actor: Actor) -> bool:
    """Tell whether the database is older than the CA's journal, from what the journal noted last.

    An order is committed before the CA signs, and an ending before a
    revocation list names it: where the journal knows one that the database
    does not, the database was set back. Then what had ended ends again at
    once, so that nothing is un-revoked for longer than this takes, and that
    the rest is missing is remembered until `reconcile` has put it right.
    Raises `CaAway`.
    """
    now = ports.now()
    journal = ports.records[bank]
    with ports.db.read() as tx:
        if restores.is_behind(tx, bank):
            return True
        behind = any(not _known(tx, one.kind, one.serial, ended=one.ended) for one in journal.latest())
    behind = (behind and _really_behind(ports, bank)) or _staff_is_behind(ports, bank)
    if not behind:
        return False

    def note(tx: Connection) -> None:
        if restores.note(tx, bank, now):
            audit.add(tx, "restore-noticed", actor, at=now, bank=bank)

    ports.db.write(note)
    for _ in _end_again(ports, bank, actor):
        pass
    for _ in end_staff_again(ports, bank=bank, actor=actor):
        pass
    return True


def _staff_is_behind(ports: Ports, bank: str) -> bool:
    """Tell it of the staff's certificates. A journal of theirs that does not hold keeps no customer out."""
    try:
        if staff_is_behind(ports, bank=bank):
            return True
        journal_staff(ports, bank=bank)
    except (JournalBroken, JournalInUse, JournalNotWritten) as unusable:
        log.error("the journal of the staff's CA cannot be compared: %s", unusable)  # noqa: TRY400 - the trace says no more
    return False


def _really_behind(ports: Ports, bank: str) -> bool:
    """Look once more: what was erased for good is rightly unknown, and what is being stored just now is known soon."""
    journal = ports.records[bank]
    for one in journal.latest():
        with ports.db.read() as tx:
            known = _known(tx, one.kind, one.serial, ended=one.ended)
            stored = certificates.standing_of(tx, one.kind, one.serial) is not None
        recorded = None if known else journal.record_of(one.kind, one.serial)
        if not known and (stored or (recorded is not None and recorded.der is not None)):
            return True
    return False


def _known(tx: Connection, kind: Kind, serial: int, *, ended: bool) -> bool:
    if not ended:
        return orders.of_serial(tx, kind, serial) is not None
    standing = certificates.standing_of(tx, kind, serial)
    return standing is not None and standing.ended_at is not None


def reconcile(
    ports: Ports, *, bank: str, actor: Actor, repair: bool, tally: Tally, partial: bool = False
) -> Iterator[Finding]:
    """Yield what does not agree, in the order of kind and serial number; `repair` puts it right.

    Endings come first, and staff before customers.

    `partial`: the journal is one of several, so what it lacks is no finding.
    With `repair`, once nothing is left that a restored backup forgot, the
    database counts as whole again. Raises `CaAway`, `JournalBroken`.
    """
    left = False
    if repair:
        yield from _end_again(ports, bank, actor)
    for of_staff in reconcile_staff(ports, bank=bank, actor=actor, repair=repair, tally=tally):
        left |= not of_staff.repaired and of_staff.what is not Disagreement.NOT_IN_JOURNAL
        yield of_staff
    missing: list[tuple[datetime, Kind, int]] = []
    for recorded, standing in _merged(ports, bank):
        tally.journal += recorded is not None
        tally.certificates += standing is not None
        finding = _compared(ports, bank, recorded, standing, tally, partial=partial)
        if finding is None:
            continue
        if repair and finding.what is Disagreement.MISSING and recorded is not None:
            missing.append((recorded.signed_at, *recorded.key))
            continue
        left |= finding.what is not Disagreement.NOT_IN_JOURNAL
        yield finding
    # In the order in which they were signed, so that each finds the one that it takes the place of.
    for _, kind, serial in sorted(missing):
        stored = _store_again(ports, bank, actor, kind, serial)
        left |= not stored.repaired
        yield stored
    if repair and not left:
        now = ports.now()

        def clear(tx: Connection) -> None:
            if restores.clear(tx, bank):
                audit.add(tx, "restore-repaired", actor, at=now, bank=bank)

        ports.db.write(clear)


def _merged(ports: Ports, bank: str) -> Iterator[tuple[Recorded | None, Standing | None]]:
    """Walk through journal and table side by side."""
    recorded, standing = _all_recorded(ports.records[bank]), _all_standing(ports)
    one, other = next(recorded, None), next(standing, None)
    while one is not None or other is not None:
        mine = None if one is None else _place(one.key)
        theirs = None if other is None else _place(other.key)
        first = min(key for key in (mine, theirs) if key is not None)
        yield (one if mine == first else None, other if theirs == first else None)
        if mine == first:
            one = next(recorded, None)
        if theirs == first:
            other = next(standing, None)


def _place(key: tuple[Kind, int]) -> tuple[int, int]:
    return list(Kind).index(key[0]), key[1]


def _all_recorded(journal: CaRecord) -> Iterator[Recorded]:
    after = None
    while page := journal.records(after):
        yield from page
        after = page[-1].key


def _all_standing(ports: Ports) -> Iterator[Standing]:
    for kind in Kind:
        after = -1
        while True:
            with ports.db.read() as tx:
                page = certificates.in_order(tx, kind, after=after, most=_PAGE)
            if not page:
                break
            yield from page
            after = page[-1].serial


def _compared(
    ports: Ports, bank: str, recorded: Recorded | None, standing: Standing | None, tally: Tally, *, partial: bool
) -> Finding | None:
    """Return what does not agree about one certificate; whoever issues meanwhile makes no finding."""
    if recorded is None:
        alone = standing is not None and not partial and ports.records[bank].record_of(*standing.key) is None
        return Finding(Disagreement.NOT_IN_JOURNAL, *standing.key) if alone and standing is not None else None
    if recorded.der is None:
        return None  # erased for good: there is nothing that could be compared
    what: Disagreement | None = None
    order = None
    if standing is None:
        with ports.db.read() as tx:
            order = orders.of_serial(tx, *recorded.key)
            standing = certificates.standing_of(tx, *recorded.key)
    if standing is None:
        if order is not None and not order.finished and order.refused_at is None:
            tally.waiting += 1
        else:
            what = Disagreement.MISSING
    elif standing.fingerprint != recorded.sha256:
        what = Disagreement.DIFFERS
    elif recorded.ended_at is not None and standing.ended_at is None:
        what = Disagreement.ENDING_FORGOTTEN
    return None if what is None else Finding(what, *recorded.key)


def _end_again(ports: Ports, bank: str, actor: Actor) -> Iterator[Finding]:
    """End what the journal knows to have ended, where the database has forgotten it."""
    after = None
    while page := ports.records[bank].endings(after):
        for one in page:
            with ports.db.read() as tx:
                standing = certificates.standing_of(tx, one.kind, one.serial)
            if standing is not None and standing.ended_at is None and _end(ports, standing, one, actor):
                yield Finding(Disagreement.ENDING_FORGOTTEN, one.kind, one.serial, repaired=True)
        after = page[-1].key


def _end(ports: Ports, standing: Standing, ended: EndedRecord, actor: Actor) -> bool:
    now = ports.now()

    def end(tx: Connection) -> bool:
        certificate = certificates.get(tx, standing.id)
        return end_certificate(
            tx,
            certificate,
            ending=_ending_of(ended.reason),
            reason=ended.reason,
            actor=actor,
            now=now,
            at=ended.at,
        )

    return ports.db.write(end)


def _ending_of(reason: Reason) -> Ending:
    """Return how a certificate ended, as far as a revocation list tells."""
    return Ending.SUPERSEDED if reason is Reason.SUPERSEDED else Ending.REVOKED


def _store_again(ports: Ports, bank: str, actor: Actor, kind: Kind, serial: int) -> Finding:
    """Store a certificate that the journal has and the database forgot, with an order, as it stood."""
    finding = Finding(Disagreement.MISSING, kind, serial)
    recorded = ports.records[bank].record_of(kind, serial)
    if recorded is None or recorded.der is None:
        return replace(finding, why="erased")
    der = recorded.der
    read = x509.load_der_x509_certificate(der)
    order = _order_of(read, kind)
    who = PersonId(order.common_name[-4:], order.common_name[:11], order.common_name[11:-4] or None)
    now = ports.now()

    def store(tx: Connection) -> str | None:
        person = people.find(tx, who)
        if person is None:
            return "person-unknown"
        people.lock(tx, [person.id])
        placed = orders.of_serial(tx, kind, serial) or _order_again(tx, person.id, who, order, recorded.signed_at)
        if isinstance(placed, str):
            return placed
        new = NewCertificate(placed, who, der, hashlib.sha256(der).digest())
        (stored,) = certificates.add(tx, [new], recorded.signed_at)
        orders.finish(tx, [placed.id])
        audit.add(tx, "certificate-restored", actor, at=now, who=who, person_id=person.id, serial=serial)
        if placed.refused_at is not None:
            # Its person was told that nothing came of it.
            ending, why_ended = Ending.REISSUED, Reason.SUPERSEDED
            end_certificate(tx, stored, ending=ending, reason=why_ended, actor=actor, now=now)
        elif recorded.ended_at is not None and recorded.reason is not None:
            end_certificate(
                tx,
                stored,
                ending=_ending_of(recorded.reason),
                reason=recorded.reason,
                actor=actor,
                now=now,
                at=recorded.ended_at,
            )
        return None

    why = ports.db.write(store)
    return replace(finding, repaired=why is None, why=why)


def _order_again(tx: Connection, person_id: int, who: PersonId, order: Order, at: datetime) -> PlacedOrder | str:
    """Write the order that was forgotten, and spend the permit that it had spent.

    How the key is held is not in the certificate, so the least is written.
    """
    spki_sha256 = hashlib.sha256(order.spki).digest()
    if orders.of_keys(tx, [spki_sha256]):
        return "key-ordered-again"
    acquired = order.not_before + BACKDATE
    permit = permits.latest(tx, person_id)
    spent = permit is not None and permit.granted_at <= acquired and bool(permits.save_spent(tx, [permit], acquired))
    before = [one for one in certificates.not_ended(tx, person_id) if one.not_before < order.not_before]
    new = NewOrder(
        person_id=person_id,
        who=who,
        order=order,
        spki_sha256=spki_sha256,
        held=KeyHeld.FILE,
        permit_id=permit.id if spent and permit is not None else None,
        renews_id=before[0].id if before else None,
    )
    return orders.add(tx, [new], at)[0]


def _order_of(certificate: x509.Certificate, kind: Kind) -> Order:
    """Return the order that a certificate was signed for."""
    (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    addresses = [str(one.value) for point in points for one in point.full_name or []]
    generation, shard = next((found.groups() for one in addresses if (found := _LIST.search(one))), (None, None))
    return Order(
        kind=kind,
        common_name=str(name.value),
        serial=certificate.serial_number,
        spki=certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        shard=int(shard) if shard else None,
        generation=int(generation) if generation else FIRST,
    )
