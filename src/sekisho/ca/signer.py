"""Signs what the profiles allow, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from sekisho.domain.errors import Refusal
from sekisho.pki import crl, hierarchy, profile
from sekisho.pki.issuance import Issuance
from sekisho.pki.profile import ProfileBroken

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cryptography import x509

    from sekisho.domain.person import Kind
    from sekisho.pki.hierarchy import KeyAndCertificate


class Signer:
    """The issuing CAs of one bank.

    Its checks do not rely on whoever asks: an order that the profile of its
    kind does not allow is refused here although the sites would never send
    it. `now` is this process's own clock, and `lint` looks at each
    certificate before it is signed: what it raises refuses that order.
    """

    def __init__(
        self,
        bank: profile.BankName,
        issuing: dict[Kind, KeyAndCertificate],
        pki_url: str,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        lint: Callable[[x509.CertificateBuilder], None] | None = None,
    ) -> None:
        self._issuing = issuing
        self._now = now
        self._lint = lint
        self._issuances = {
            kind: Issuance(bank, kind, issuer=pair.certificate, addresses=hierarchy.addresses(bank.code, kind, pki_url))
            for kind, pair in issuing.items()
        }

    def sign(self, order: profile.Order) -> bytes:
        """Return the DER certificate. Raises `ProfileBroken` where the profile does not allow it."""
        profile.check_life(order, self._now())
        builder = self._issuances[order.kind].builder(order)
        if self._lint is not None:
            self._lint(builder)
        signed = builder.sign(self._issuing[order.kind].key, hashes.SHA256(), ecdsa_deterministic=True)
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
