"""Signs what the profiles allow, and nothing else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sekisho.ca.responder import Responders
from sekisho.domain.errors import Refusal
from sekisho.domain.issuing_ca import IssuingCa
from sekisho.pki import crl, hierarchy, profile
from sekisho.pki.csr import load_key
from sekisho.pki.issuance import SIGNATURE, Issuance
from sekisho.pki.linting.person import PersonLinter
from sekisho.pki.profile import ProfileBroken

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from cryptography.hazmat.primitives.asymmetric import ec

    from sekisho.domain.person import Kind
    from sekisho.pki.hierarchy import KeyAndCertificate
    from sekisho.pki.ocsp import Answer


class KeyFailed(Exception):  # noqa: N818 - names what happened
    """The key did not sign what it was given; the order is a good one."""


class Signer:
    """The issuing CAs of one bank: of each kind one, and those of later generations. An order says which signs it.

    Its checks do not rely on whoever asks: an order that the profile of its
    kind does not allow is refused here although the sites would never send
    it, and what the profile made of it is read once more before the key
    signs. `now` is this process's own clock. `at_once` is how many signatures
    the keys make at once, as a token with several sessions does. `revoked`
    tells which of them the root has revoked: these certify nobody any more,
    and still sign their lists.
    """

    def __init__(
        self,
        bank: profile.BankName,
        issuing: Mapping[IssuingCa, KeyAndCertificate],
        pki_url: str,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        at_once: int = 1,
        revoked: Callable[[], Collection[IssuingCa]] = frozenset,
    ) -> None:
        self._issuing = issuing
        self._revoked = revoked
        self._now = now
        self._at_once = at_once
        self._threads = ThreadPoolExecutor(at_once) if at_once > 1 else None
        self._addresses = {ca: hierarchy.addresses(bank.code, ca.kind, pki_url, ca.generation) for ca in issuing}
        self._issuances = {
            ca: Issuance(bank, ca.kind, issuer=pair.certificate, addresses=self._addresses[ca])
            for ca, pair in issuing.items()
        }
        self._responders = Responders(bank, issuing, now, revoked)
        self._linters = {
            ca: PersonLinter(bank, ca.kind, issuer=pair.certificate, addresses=self._addresses[ca])
            for ca, pair in issuing.items()
        }

    def sign(self, order: profile.Order) -> bytes:
        """Return the DER certificate. Raises `ProfileBroken` where the profile does not allow it, and `KeyFailed`."""
        issuance, tbs, key = self._prepared(order)
        try:
            return issuance.signed(tbs, key.sign(tbs, SIGNATURE))
        except ValueError as failed:
            raise KeyFailed(str(failed)) from failed

    def _prepared(self, order: profile.Order) -> tuple[Issuance, bytes, ec.EllipticCurvePrivateKey]:
        """Return what is to be signed, and the key that reads it once more before it signs."""
        profile.check_life(order, self._now())
        ca = IssuingCa(order.kind, order.generation)
        if ca not in self._issuing:
            raise ProfileBroken("issuing CA")
        if ca in self._revoked():
            raise ProfileBroken("issuing CA that is revoked")
        certified = load_key(order.spki)
        issuance = self._issuances[ca]
        tbs = issuance.to_be_signed(order, certified)
        return issuance, tbs, self._linters[ca].guard(order, self._issuing[ca].key, certified)

    def sign_all(self, orders: Sequence[profile.Order]) -> list[bytes | Exception]:
        """Return the DER certificate for each order, why that one is refused, or `KeyFailed`. Raises `TokenAway`."""
        if self._threads is None or len(orders) == 1:
            return self._sign_some(orders)
        shares = [orders[at :: self._at_once] for at in range(self._at_once)]
        done = list(self._threads.map(self._sign_some, shares))
        return [done[at % self._at_once][at // self._at_once] for at in range(len(orders))]

    def _sign_some(self, orders: Sequence[profile.Order]) -> list[bytes | Exception]:
        outcomes: list[bytes | Exception] = []
        for order in orders:
            try:
                outcomes.append(self.sign(order))
            except (ProfileBroken, Refusal, ValueError, KeyFailed) as told:
                outcomes.append(told)
        return outcomes

    def sign_crl(
        self,
        kind: Kind,
        shard: int | None,
        entries: bytes,
        *,
        number: int,
        this_update: datetime,
        next_update: datetime,
        generation: int = 1,
    ) -> bytes:
        """Return the DER revocation list of an issuing CA for `kind`, or of a shard of what it issued.

        Raises `ListRefused` where it is none, or its number may have been used.
        """
        ca = IssuingCa(kind, generation)
        if ca not in self._issuing:
            raise crl.ListRefused("issuing CA")
        issuing = self._issuing[ca]
        if shard is not None and not 0 <= shard < crl.MOST_SHARDS:
            raise crl.ListRefused("shard")
        # A list of a part names the same address as the certificates that it is for (RFC 5280 section 5.2.5).
        address = None if shard is None else self._addresses[ca].crl(shard)
        asked = crl.RevocationList(entries, number, this_update, next_update, address)
        frame = crl.Frame(issuing.certificate, asked)
        tbs = frame.to_be_signed()
        signature = issuing.key.sign(tbs, SIGNATURE)
        return frame.signed(tbs, signature)

    def answer_all(self, answers: Sequence[Answer]) -> list[bytes | Exception]:
        """Return each answer about a certificate as DER, or why that one is refused."""
        return self._responders.answer_all(answers)
