"""How the CA is asked for answers about certificates: typed fields, of which it makes what it signs."""

from __future__ import annotations

import struct
from datetime import timedelta

from sekisho.ca.wire import ca_octet, ca_of, moment
from sekisho.domain.certificate import Reason
from sekisho.pki.ocsp import Answer, Digest, Status

_REASONS = list(Reason)
# issuing CA, digest, status, reason, octets of the nonce (0 for none), seconds of life, revoked since, serial;
# then the nonce
_ANSWER = struct.Struct(">BBBBBIq20s")
_LONGEST_SERIAL = 20


def part(answer: Answer) -> bytes:
    """Write it. Raises ValueError, OverflowError or struct.error where it cannot be written."""
    since, reason = 0, 0
    if (answer.revoked is not None) is not (answer.status is Status.REVOKED):
        raise ValueError("a revocation without its date, or a date without one")
    if answer.revoked is not None:
        since, reason = int(answer.revoked[0].timestamp()), _REASONS.index(answer.revoked[1])
    nonce = answer.nonce or b""
    life = int(answer.life.total_seconds())
    head = (ca_octet(answer.kind, answer.generation), answer.digest, answer.status, reason, len(nonce), life, since)
    return _ANSWER.pack(*head, answer.serial.to_bytes(_LONGEST_SERIAL)) + nonce


def read(written: bytes) -> Answer:
    """Read it. Raises ValueError where it says nothing sensible."""
    try:
        octet, digest, status, reason, length, life, since, serial = _ANSWER.unpack_from(written)
        nonce = written[_ANSWER.size :]
        if len(nonce) != length:
            raise ValueError("a nonce of another length")
        ca = ca_of(octet)
        return Answer(
            kind=ca.kind,
            digest=Digest(digest),
            serial=int.from_bytes(serial),
            status=Status(status),
            life=timedelta(seconds=life),
            revoked=(moment(since), _REASONS[reason]) if status == Status.REVOKED else None,
            nonce=nonce or None,
            generation=ca.generation,
        )
    except (struct.error, IndexError, OverflowError, OSError) as wrong:
        raise ValueError("not an answer") from wrong
