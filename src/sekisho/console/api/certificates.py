"""One certificate by its serial number, and its suspension."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path

from sekisho.console.api.answers import CONFLICT, NOT_FOUND
from sekisho.console.api.bodies import CertificateBody
from sekisho.console.api.caller import Caller, IdempotencyKey, System, TheSite
from sekisho.usecases.read_held import read_certificate
from sekisho.usecases.serve_systems import read_asked
from sekisho.usecases.shut_for_system import suspend_for_system

if TYPE_CHECKING:
    from sekisho.domain.certificate import Certificate

router = APIRouter(tags=["certificates"])
_Serial = Annotated[str, Path(pattern="^[0-9A-Fa-f]{1,32}$", description="In hexadecimal.")]


@router.get("/certificates/{serial}", responses=NOT_FOUND)
def get_certificate(site: TheSite, current: Caller, serial: _Serial) -> CertificateBody:
    """Return one certificate of a person; who looked is on record."""
    return certificate_body(read_certificate(site.ports, at_work=current, serial=int(serial, 16)))


@router.post("/certificates/{serial}/suspend", responses=NOT_FOUND | CONFLICT)
def suspend_certificate(
    site: TheSite, current: System, serial: _Serial, idempotency_key: IdempotencyKey
) -> CertificateBody:
    """Suspend a certificate at once: it opens nothing, and OCSP and revocation lists say so (certificateHold).

    People lift that with a form `emergency-stop-lift`, or end it for good with a form `certificate-revocation`.
    """
    number = int(serial, 16)
    asked = read_asked(current, idempotency_key, b"suspend %x" % number)
    return certificate_body(suspend_for_system(site.ports, at_work=current, asked=asked, serial=number))


def certificate_body(certificate: Certificate) -> CertificateBody:
    """Return a certificate as it goes over the wire."""
    return CertificateBody(
        serial=f"{certificate.serial:032x}",
        user_id=certificate.person.user_id,
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        held=certificate.held.value,
        issued_at=certificate.issued_at,
        suspended_at=certificate.suspended_at,
        ended_at=certificate.ended_at,
        reason=None if certificate.reason is None else certificate.reason.value,
    )
