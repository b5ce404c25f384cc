"""Signs what the profiles allow, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from sekisho.domain.errors import Refusal
from sekisho.pki import crl, hierarchy, profile
from sekisho.pki.issuance import Issuance
from sekisho.pki.linting.person import PersonLinter
from sekisho.pki.profile import ProfileBroken

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sekisho.domain.person import Kind
    from sekisho.pki.hierarchy import KeyAndCertificate


class Signer:
    """The issuing CAs of one bank.

    Its checks do not rely on whoever asks: an order that the profile of its
    kind does not allow is refused here although the sites would never send
    it, and what the profile made of it is read once more before the key
    signs. `now` is this process's own clock.
    """

    def __init__(
        self,
        bank: profile.BankName,
        issuing: dict[Kind, KeyAndCertificate],
        pki_url: str,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._issuing = issuing
        self._now = now
        self._addresses = {kind: hierarchy.addresses(bank.code, kind, pki_url) for kind in issuing}
        self._issuances = {
            kind: Issuance(bank, kind, issuer=pair.certificate, addresses=self._addresses[kind])
            for kind, pair in issuing.items()
        }
        self._linters = {
            kind: PersonLinter(bank, kind, issuer=pair.certificate, addresses=self._addresses[kind])
            for kind, pair in issuing.items()
        }

    def sign(self, order: profile.Order) -> bytes:
        """Return the DER certificate. Raises `ProfileBroken` where the profile does not allow it."""
        profile.check_life(order, self._now())
        builder = self._issuances[order.kind].builder(order)
        key = self._linters[order.kind].guard(order, self._issuing[order.kind].key)
        signed = builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True)
        return signed.public_bytes(Encoding.DER)

    def sign_all(self, orders: Sequence[profile.Order]) -> list[bytes | Exception]:
        """Return the DER certificate for each order, or why that one is refused."""
        outcomes: list[bytes | Exception] = []
        for order in orders:
            try:
                outcomes.append(self.sign(order))
            except (ProfileBroken, Refusal, ValueError) as refused:
                outcomes.append(refused)
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
    ) -> bytes:
        """Return the DER revocation list of the issuing CA for `kind`, or of a shard of what it issued.

        Raises `ListRefused` where it is none, or its number may have been used.
        """
        issuing = self._issuing[kind]
        if shard is not None and not 0 <= shard < crl.MOST_SHARDS:
            raise crl.ListRefused("shard")
        # A list of a part names the same address as the certificates that it is for (RFC 5280 section 5.2.5).
        address = None if shard is None else self._addresses[kind].crl(shard)
        asked = crl.RevocationList(entries, number, this_update, next_update, address)
        frame = crl.Frame(issuing.certificate, asked)
        tbs = frame.to_be_signed()
        signature = issuing.key.sign(tbs, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        return frame.signed(tbs, signature)
