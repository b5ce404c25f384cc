"""Find the certificate that somebody of the bank decides about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.errors import CertificateUnknown
from sekisho.store import certificates, people

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sekisho.domain.certificate import Certificate
    from sekisho.domain.contract import Person


def hold_certificate(tx: Connection, serial: int) -> tuple[Certificate, Person]:
    """Return a certificate with its person, whom nobody else decides about until `tx` ends.

    Raises `CertificateUnknown`.
    """
    found = certificates.of_serial(tx, serial)
    person = None if found is None else people.find(tx, found.person)
    if found is None or person is None:
        raise CertificateUnknown
    person = people.hold(tx, person.id)
    return certificates.get(tx, found.id), person
