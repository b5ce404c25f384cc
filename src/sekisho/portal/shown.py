"""A certificate as the screens show it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from sekisho.domain.certificate import Certificate


@dataclass(frozen=True, slots=True)
class ShownCertificate:
    """A certificate as the screens show it; `days_left` are whole days, `held` how its key is held."""

    common_name: str
    serial: int
    issued_at: datetime
    not_after: datetime
    days_left: int
    exportable: bool
    held: str


def shown(certificate: Certificate, now: datetime) -> ShownCertificate:
    """Return a certificate as the screens show it."""
    return ShownCertificate(
        common_name=certificate.person.common_name,
        serial=certificate.serial,
        issued_at=certificate.issued_at,
        not_after=certificate.not_after,
        days_left=(certificate.not_after - now) // timedelta(days=1),
        exportable=certificate.exportable,
        held=certificate.held.value,
    )
