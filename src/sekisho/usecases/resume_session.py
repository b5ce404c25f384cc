"""Who is logged on: cookie and certificate, checked on every request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sekisho.domain.errors import SessionRefused
from sekisho.store import sessions
from sekisho.usecases.log_on import token_sha256
from sekisho.usecases.show_certificate import show_certificate

if TYPE_CHECKING:
    from sekisho.domain.certificate import Certificate
    from sekisho.domain.contract import Bank, Person
    from sekisho.domain.person import Kind
    from sekisho.domain.session import Session
    from sekisho.usecases.ports import Ports

# Each note of "the person is there" is a flushed write; one in this long is enough for a limit of minutes.
_TOUCH_AFTER = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class LoggedOn:
    """A good session, with whom it belongs to and the certificate that opened it.

    While `pins_to_replace`, it opens nothing but the page that replaces them.
    """

    session: Session
    person: Person
    certificate: Certificate
    pins_to_replace: bool = False


def resume_session(ports: Ports, *, bank: Bank, kind: Kind, der: bytes | None, token: bytes | None) -> LoggedOn:
    """Return who is logged on, or raise the refusal that says why nobody is.

    The certificate is judged first, by the same table that a revocation
    changes: one that has ended is refused from that second on, whatever the
    cookie says.
    """
    now = ports.now()
    with ports.db.read() as tx:
        session = None if token is None else sessions.of_token(tx, token_sha256(token))
        visitor = show_certificate(tx, der, bank=bank.code, kind=kind, now=now)
    if session is None:
        raise SessionRefused
    session.check(visitor.certificate.id, bank.policy, now)
    visitor.person.check_door()
    # Seen in the future means that the clock was set back: idle time counts from now on, and is no hour longer.
    if not -_TOUCH_AFTER < now - session.seen_at < _TOUCH_AFTER:
        ports.db.write(lambda tx: sessions.touch(tx, session.id, now))
    provisional = visitor.secret is not None and visitor.secret.provisional_until is not None
    return LoggedOn(session, visitor.person, visitor.certificate, pins_to_replace=provisional)
