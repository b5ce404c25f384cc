"""A key that reads what it is to sign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from cryptography.hazmat.primitives.asymmetric import ec

from sekisho.pki.linting.finding import Finding, LintFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class ReadingKey(ec.EllipticCurvePrivateKey):
    """Stands before a CA's key for one certificate and hands on only what `judge` finds nothing in.

    It is given the very octets that are to be signed, so there is
    nothing between what was read and what is signed.
    """

    def __init__(self, key: ec.EllipticCurvePrivateKey, judge: Callable[[bytes], Sequence[Finding]]) -> None:
        self._key = key
        self._judge = judge

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """Sign a certificate's octets. Raises `LintFailed`."""
        findings = self._judge(bytes(data))
        if findings:
            raise LintFailed(findings)
        return self._key.sign(data, signature_algorithm)

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Return the CA's public key."""
        return self._key.public_key()

    @property
    def curve(self) -> ec.EllipticCurve:
        """The CA's curve."""
        return self._key.curve

    @property
    def key_size(self) -> int:
        """The size of the curve in bits."""
        return self._key.key_size

    def exchange(self, *_: object) -> NoReturn:
        """Do nothing: this key signs certificates."""
        raise NotImplementedError

    def private_numbers(self) -> NoReturn:
        """Do nothing: this key signs certificates."""
        raise NotImplementedError

    def private_bytes(self, *_: object) -> NoReturn:
        """Do nothing: this key signs certificates."""
        raise NotImplementedError

    def __copy__(self) -> ReadingKey:
        return self

    def __deepcopy__(self, memo: object) -> ReadingKey:
        return self
