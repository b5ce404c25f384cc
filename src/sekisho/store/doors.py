"""What a door has to know of a visitor, in one statement: certificate, person, and the secret that is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, select

from sekisho.domain.contract import Person
from sekisho.store import certificates as issued
from sekisho.store.bulk import OfMany
from sekisho.store.revoked_cas import of_certificate
from sekisho.store.secrets import Secret, read_asked
from sekisho.store.tables import certificates, contracts, people, revoked_cas, secrets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Row

    from sekisho.domain.certificate import Certificate
    from sekisho.domain.secret import SecretName


@dataclass(frozen=True, slots=True)
class AtDoor:
    """A certificate of ours with its person; `secret` is None where that one was never set."""

    certificate: Certificate
    person: Person
    secret: Secret | None


_administrator = people.alias("administrator")
# Every page and every logon runs it, so it is built once: building a statement costs more than running it.
_FOUND = (
    select(
        certificates,
        people.c.bank,
        people.c.contract_id,
        people.c.user_id,
        people.c.name.label("person_name"),
        people.c.mail_address,
        people.c.mail_confirmed_at,
        people.c.applications,
        people.c.language,
        people.c.closed_at,
        people.c.stopped_at,
        contracts.c.name.label("contract_name"),
        contracts.c.opened_at.label("contract_opened_at"),
        _administrator.c.closed_at.label("contract_closed_at"),
        _administrator.c.stopped_at.label("contract_stopped_at"),
        secrets.c.verifier,
        secrets.c.misses,
        secrets.c.asked,
        secrets.c.provisional_until,
        issued.ISSUER_REVOKED_AT,
    )
    .join(people, people.c.id == certificates.c.person_id)
    .join(contracts, and_(contracts.c.bank == people.c.bank, contracts.c.contract_id == people.c.contract_id))
    .join(
        _administrator,
        and_(
            _administrator.c.bank == people.c.bank,
            _administrator.c.contract_id == people.c.contract_id,
            _administrator.c.user_key == "",
        ),
    )
    .outerjoin(revoked_cas, of_certificate())
    .outerjoin(secrets, and_(secrets.c.person_id == people.c.id, secrets.c.name == bindparam("secret")))
)
_OF_FINGERPRINT = _FOUND.where(certificates.c.fingerprint == bindparam("fingerprint"))
_OF_FINGERPRINTS = OfMany(lambda among: _FOUND.where(among(certificates.c.fingerprint, "fingerprints")))


def of_fingerprint(tx: Connection, fingerprint: bytes, secret: SecretName) -> AtDoor | None:
    """Return who holds the certificate with exactly those bytes (SHA-256), or None."""
    row = tx.execute(_OF_FINGERPRINT, {"fingerprint": fingerprint, "secret": secret.value}).one_or_none()
    return None if row is None else _at_door(row, secret)


def of_fingerprints(tx: Connection, fingerprints: Sequence[bytes], secret: SecretName) -> dict[bytes, AtDoor]:
    """Return who holds the certificates with exactly those bytes, by their SHA-256."""
    rows = _OF_FINGERPRINTS.run(tx, {"fingerprints": list(fingerprints), "secret": secret.value})
    return {row.fingerprint: _at_door(row, secret) for row in rows}


def _at_door(row: Row[Any], secret: SecretName) -> AtDoor:
    certificate = issued.from_row(row)
    person = Person(
        id=row.person_id,
        who=certificate.person,
        name=row.person_name,
        contract_name=row.contract_name,
        mail_address=row.mail_address,
        language=row.language,
        applications=tuple(row.applications or ()),
        mail_confirmed=row.mail_confirmed_at is not None,
        closed_at=row.closed_at if row.user_id is not None else None,
        contract_closed_at=row.contract_closed_at,
        stopped_at=row.stopped_at if row.user_id is not None else None,
        contract_stopped_at=row.contract_stopped_at,
        contract_opened_at=row.contract_opened_at,
    )
    if row.verifier is None:
        return AtDoor(certificate, person, None)
    asked = read_asked(row.asked)
    found = Secret(person.id, secret, row.verifier, row.misses, asked, provisional_until=row.provisional_until)
    return AtDoor(certificate, person, found)
