"""Tell those who hold a certificate of an issuing CA that was revoked, and end what they had opened with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.store import audit, notices, people, revoked_cas, sessions
from sekisho.store.audit import Actor

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.store.revoked_cas import RevokedIssuer
    from sekisho.usecases.ports import Ports

_AT_ONCE = 500
_OF_USERS = "issuing-ca-revoked-users"


def tell_of_revoked_ca(ports: Ports, *, bank: str) -> int:
    """Go through some more certificates of a revoked issuing CA and return how many were looked at, or 0 at the end.

    How far it has come is written down in the transaction that tells: so
    nobody is told twice, and nobody left out after a pause. An administrator
    is told once of all users. The doors had refused these certificates from
    the moment on when the revocation was noted.
    """
    now = ports.now()
    with ports.db.read() as tx:
        found = revoked_cas.to_tell_of(tx, bank)
    if found is None:
        return 0
    ca = found.ca

    def tell(tx: Connection) -> int:
        issuer = revoked_cas.hold(tx, bank, ca)
        theirs, upto = revoked_cas.certificates_of(tx, issuer, now, _AT_ONCE)
        revoked_cas.advance(tx, bank, issuer, upto, now)
        if not theirs:
            return 0 if upto is None else _AT_ONCE
        ended = sessions.end_of_certificates(tx, [certificate_id for certificate_id, _ in theirs], now)
        holders = sorted({person_id for _, person_id in theirs})
        notices.add_all(tx, [(one, {}) for one in holders], "issuing-ca-revoked", now)
        _tell_administrators(tx, holders, issuer, now)
        audit.add_of_bank(
            tx,
            "issuing-ca-revoked-told",
            Actor(audit.SYSTEM),
            at=now,
            bank=bank,
            serial=issuer.serial,
            issuing_ca=ca.name,
            people=len(holders),
            sessions_ended=ended,
        )
        return _AT_ONCE

    return ports.db.write(tell)


def _tell_administrators(tx: Connection, holders: list[int], issuer: RevokedIssuer, now: datetime) -> None:
    """Tell the administrators of users, who have to permit a reissue."""
    administrators = people.administrators_of(tx, holders)
    ids = sorted({administrators[one] for one in holders} - set(holders))
    before = notices.told_since(tx, ids, _OF_USERS, issuer.noted_at) if ids else set()
    notices.add_all(tx, [(one, {}) for one in ids if one not in before], _OF_USERS, now)
