"""A certification request (PKCS #10) that is signed where the key is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from tegata.stores.interface import StoredKey


class _InStore(ec.EllipticCurvePrivateKey):
    """A private key for `cryptography`'s builders that has only a signature to give."""

    def __init__(self, key: StoredKey) -> None:
        self._key = key

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        algorithm = signature_algorithm.algorithm
        if isinstance(algorithm, utils.Prehashed):
            return self._key.sign_digest(bytes(data))
        digest = hashes.Hash(algorithm)
        digest.update(bytes(data))
        return self._key.sign_digest(digest.finalize())

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._key.public_key

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._key.public_key.curve

    @property
    def key_size(self) -> int:
        return self._key.public_key.key_size

    def _stays(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("this key does not leave its store")

    exchange = private_numbers = private_bytes = _stays
    __copy__ = __deepcopy__ = _stays


def request(key: StoredKey, common_name: str) -> bytes:
    """Return a request for a key, DER. The bank takes the name from its own table, not from here."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    return builder.sign(_InStore(key), hashes.SHA256()).public_bytes(Encoding.DER)
