"""Signs what the profiles allow, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from sekisho.pki import crl, hierarchy, profile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sekisho.domain.person import Kind
    from sekisho.pki.hierarchy import KeyAndCertificate


class Signer:
    """The issuing CAs of one bank.

    Its checks do not rely on whoever asks: an order that the profile of its
    kind does not allow is refused here although the sites would never send
    it. ECDSA is deterministic (RFC 6979), so signing an order twice gives
    the same bytes without a journal.
    """

    def __init__(self, bank: profile.BankName, issuing: dict[Kind, KeyAndCertificate], pki_url: str) -> None:
        self._bank = bank
        self._issuing = issuing
        self._pki_url = pki_url

    def sign(self, order: profile.Order) -> bytes:
        """Return the DER certificate. Raises `ProfileBroken` where the profile does not allow it."""
        issuing = self._issuing[order.kind]
        addresses = hierarchy.addresses(self._bank.code, order.kind, self._pki_url)
        builder = profile.person(order, self._bank, issuer=issuing.certificate, addresses=addresses)
        signed = builder.sign(issuing.key, hashes.SHA256(), ecdsa_deterministic=True)
        return signed.public_bytes(Encoding.DER)

    def sign_all(self, orders: Sequence[profile.Order]) -> list[bytes | Exception]:
        """Return the DER certificate for each order, or `ProfileBroken`."""
        outcomes: list[bytes | Exception] = []
        for order in orders:
            try:
                outcomes.append(self.sign(order))
            except profile.ProfileBroken as broken:
                outcomes.append(broken)
        return outcomes

    def sign_crl(
        self,
        kind: Kind,
        entries: list[crl.Revoked],
        *,
        number: int,
        this_update: datetime,
        next_update: datetime,
    ) -> bytes:
        """Return the DER revocation list of the issuing CA for `kind`."""
        issuing = self._issuing[kind]
        builder = crl.revocation_list(
            issuing.certificate, entries, number=number, this_update=this_update, next_update=next_update
        )
        signed = builder.sign(issuing.key, hashes.SHA256(), ecdsa_deterministic=True)
        return signed.public_bytes(Encoding.DER)
