"""Answers about certificates, each signed by a responder of the issuing CA that it is about."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from sekisho.domain.issuing_ca import IssuingCa
from sekisho.pki import hierarchy, ocsp
from sekisho.pki.linting.responder import guard_responder
from sekisho.pki.ocsp_plain import PlainAnswers, is_plain
from sekisho.pki.profile import ProfileBroken

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from cryptography import x509

    from sekisho.pki.hierarchy import KeyAndCertificate
    from sekisho.pki.profile import BankName

log = logging.getLogger("sekisho.ca")
_RENEWED_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Responder:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    since: datetime
    plain: PlainAnswers


class Responders:
    """The responder of each issuing CA: a key of this process's memory, with a certificate of that CA for some days.

    Each is replaced daily, and with every start of the process. What was
    answered stays good, since an answer carries its responder's certificate.
    The dates of an answer are this process's own, so that nobody who asks
    can have one signed for a later day. `revoked` tells which issuing CAs
    the root has revoked: nothing of theirs is good, whoever asks.
    """

    def __init__(
        self,
        bank: BankName,
        issuing: Mapping[IssuingCa, KeyAndCertificate],
        now: Callable[[], datetime],
        revoked: Callable[[], Collection[IssuingCa]] = frozenset,
    ) -> None:
        self._bank = bank
        self._issuing = issuing
        self._now = now
        self._revoked = revoked
        self._ids = {ca: ocsp.issuer_ids(pair.certificate) for ca, pair in issuing.items()}
        self._current: dict[IssuingCa, _Responder] = {}
        self._lock = threading.Lock()

    def answer_all(self, answers: Sequence[ocsp.Answer]) -> list[bytes | Exception]:
        """Return each answer as DER, or why that one is refused."""
        outcomes: list[bytes | Exception] = []
        for answer in answers:
            try:
                outcomes.append(self._answer(answer))
            except (ProfileBroken, ValueError) as refused:
                outcomes.append(refused)
        return outcomes

    def _answer(self, answer: ocsp.Answer) -> bytes:
        ocsp.check(answer)
        ca = IssuingCa(answer.kind, answer.generation)
        if ca not in self._issuing:
            raise ProfileBroken("issuing CA")
        if answer.status is not ocsp.Status.REVOKED and ca in self._revoked():
            raise ProfileBroken("issuing CA that is revoked")
        now = self._now().replace(microsecond=0)
        responder = self._of(ca, now)
        if ocsp.ends(answer, responder.certificate, now) <= now:
            raise ProfileBroken("issuing CA whose time is over")
        issuer = self._ids[ca][answer.digest]
        if is_plain(answer):
            return responder.plain.response(answer, issuer, now)
        return ocsp.response(answer, issuer, responder.certificate, responder.key, now)

    def _of(self, ca: IssuingCa, now: datetime) -> _Responder:
        with self._lock:
            current = self._current.get(ca)
            if current is None or not timedelta(0) <= now - current.since < _RENEWED_AFTER:
                current = self._current[ca] = self._made(ca, now)
            return current

    def _made(self, ca: IssuingCa, now: datetime) -> _Responder:
        key = ec.generate_private_key(ec.SECP256R1())
        issuing = self._issuing[ca]
        public, issuer, serial = key.public_key(), issuing.certificate, hierarchy.serial_number(now, os.urandom)
        builder = ocsp.responder(self._bank, ca.kind, public, issuer=issuer, serial=serial, now=now)
        guarded = guard_responder(issuing.key, self._bank, ca.kind, key=public, issuer=issuer, serial=serial, now=now)
        certificate = builder.sign(guarded, hashes.SHA256(), ecdsa_deterministic=True)
        log.info("a responder of the issuing CA %s was certified, serial %x", ca.name, certificate.serial_number)
        return _Responder(key, certificate, now, PlainAnswers(certificate, key))
