"""The first half of a renewal: orders in the place of certificates that end soon, before anything is signed.

Written for many at once, as `place_orders` is; each is of another person.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.certificate import Ending, Reason
from sekisho.domain.errors import IssuingCaRevoked, KeyReused, Refusal, RenewalNeedsPin
from sekisho.store import audit, certificates, orders, revoked_cas, successors
from sekisho.store.orders import NewOrder
from sekisho.usecases.end_certificate import end_certificate
from sekisho.usecases.place_orders import order_of, what_came

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from sekisho.domain.certificate import Certificate, IssuedCertificate
    from sekisho.store.orders import PlacedOrder
    from sekisho.usecases.place_orders import Request

    # The certificate in force, and what its person asks for.
    Renewal = tuple[Certificate, Request]


def place_renewals(
    tx: Connection, renewals: Sequence[Renewal], *, unattended: bool = False
) -> list[PlacedOrder | Refusal]:
    """Order the renewals of people who are held by `tx`.

    A key that was ordered for the same certificate before gets its own order
    back. What renews `unattended` may do so once.
    """
    if not renewals:
        return []
    before = orders.of_keys(tx, [wanted.csr.spki_sha256 for _, wanted in renewals])
    stored = certificates.issued_of_orders(tx, [placed.id for placed in before.values()]) if before else {}
    # The one that signed the present certificate is not revoked, or it would not have been let in.
    others = {wanted.issuing_ca for present, wanted in renewals if wanted.generation != present.generation}
    revoked = revoked_cas.among(tx, others)
    outcomes: list[PlacedOrder | Refusal | None] = []
    new: list[Renewal] = []
    for present, wanted in renewals:
        placed = before.get(wanted.csr.spki_sha256)
        outcome: PlacedOrder | Refusal | None = None
        if placed is not None:
            outcome = _ordered_before(placed, stored.get(placed.id), present, wanted)
        elif wanted.issuing_ca in revoked:
            outcome = IssuingCaRevoked()
        elif unattended and orders.was_renewed(tx, wanted.person_id, present.id):
            outcome = RenewalNeedsPin()
        else:
            new.append((present, wanted))
        outcomes.append(outcome)
    added = iter(_add(tx, new, unattended=unattended) if new else [])
    return [next(added) if outcome is None else outcome for outcome in outcomes]


def _ordered_before(
    before: PlacedOrder, stored: IssuedCertificate | None, present: Certificate, wanted: Request
) -> PlacedOrder | Refusal:
    return what_came(before, stored, wanted.at) if before.renews_id == present.id else KeyReused()


def _add(tx: Connection, renewals: Sequence[Renewal], *, unattended: bool) -> list[PlacedOrder | Refusal]:
    """Write the orders, in the place of renewals that were never used."""
    now = max(wanted.at for _, wanted in renewals)
    orders.void_unfinished(tx, [wanted.person_id for _, wanted in renewals], now)
    asked = {present.id: wanted for present, wanted in renewals}
    for unused in successors.of(tx, list(asked)):
        assert unused.supersedes is not None  # noqa: S101 - what was looked for
        wanted = asked[unused.supersedes]
        end_certificate(
            tx, unused, ending=Ending.SUPERSEDED, reason=Reason.SUPERSEDED, actor=wanted.actor, now=wanted.at
        )
    new = [
        NewOrder(
            person_id=wanted.person_id,
            who=wanted.who,
            order=order_of(wanted),
            spki_sha256=wanted.csr.spki_sha256,
            held=wanted.held,
            address=wanted.actor.address,
            renews_id=present.id,
            unattended=unattended,
        )
        for present, wanted in renewals
    ]
    audited = [
        audit.row(
            "renewal-ordered",
            wanted.actor,
            at=wanted.at,
            who=wanted.who,
            person_id=wanted.person_id,
            serial=wanted.serial,
            renews=f"{present.serial:032x}",
            **({"pin": "none"} if unattended else {}),
        )
        for present, wanted in renewals
    ]
    return [*orders.add(tx, new, now, audited=audited)]
