"""The request for a certificate: PKCS #10, RFC 2986."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from sekisho.domain.certified_keys import ALL_KEYS, KeyRules
from sekisho.domain.errors import CsrNotAccepted, KeyNotAccepted
from sekisho.pki.weak_keys import check_not_weak

# What `check_key` admits.
CertifiedKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
# A request with an RSA key of 4096 bits takes about 1,200 bytes; what is far longer is no request.
LONGEST_REQUEST = 16_384
_RSA_SIZES = range(2048, 4097)
_RSA_EXPONENT = 65_537
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


@dataclass(frozen=True, slots=True)
class Csr:
    """A request whose signature held, reduced to what is used of it.

    `spki` is the DER SubjectPublicKeyInfo. The subject that the requester
    wrote is not kept: the certificate's name comes from whoever the PINs
    proved to be there.
    """

    spki: bytes

    @property
    def spki_sha256(self) -> bytes:
        """What the key is told apart by."""
        return hashlib.sha256(self.spki).digest()


def read_csr(data: bytes, keys: KeyRules = ALL_KEYS) -> Csr:
    """Return the request in `data` (DER, or PEM).

    Raises `CsrNotAccepted` where it cannot be read or the requester does not
    hold the key, `KeyNotAccepted` where the key is not one that we certify,
    or not one that the bank does by its `keys`, and `KeyWeak` where others can
    find the private key. Sizes are looked at before anything is computed with
    them.
    """
    if len(data) > LONGEST_REQUEST:
        raise CsrNotAccepted
    try:
        pem = data.lstrip().startswith(b"-----BEGIN")
        request = x509.load_pem_x509_csr(data) if pem else x509.load_der_x509_csr(data)
        key = request.public_key()
        check_key(key)
        _check_allowed(key, keys)
        if not isinstance(request.signature_hash_algorithm, _HASHES) or not request.is_signature_valid:
            raise CsrNotAccepted
    except (ValueError, UnsupportedAlgorithm, InvalidSignature, x509.InvalidVersion) as unreadable:
        raise CsrNotAccepted from unreadable
    if isinstance(key, rsa.RSAPublicKey):
        check_not_weak(key)
    return Csr(spki=key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def load_key(spki: bytes) -> CertifiedKey:
    """Return the key in a DER SubjectPublicKeyInfo. Raises `KeyNotAccepted` unless it is one that we certify."""
    try:
        key = load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm) as unreadable:
        raise KeyNotAccepted from unreadable
    check_key(key)
    assert isinstance(key, (ec.EllipticCurvePublicKey, rsa.RSAPublicKey))  # noqa: S101 - check_key has shown it
    return key


def check_key(key: object) -> None:
    """Raise `KeyNotAccepted` unless `key` is P-256, P-384 or RSA of 2048 to 4096 bits with exponent 65537."""
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, (ec.SECP256R1, ec.SECP384R1)):
        return
    # A multiple of 8 is what every library makes; odd sizes come from broken generators.
    if (
        isinstance(key, rsa.RSAPublicKey)
        and (numbers := key.public_numbers()).e == _RSA_EXPONENT
        and (bits := numbers.n.bit_length()) in _RSA_SIZES  # key_size is rounded up to whole octets
        and bits % 8 == 0
    ):
        return
    raise KeyNotAccepted


def _check_allowed(key: object, keys: KeyRules) -> None:
    """Raise `KeyNotAccepted` where the bank does not certify such a key."""
    if isinstance(key, rsa.RSAPublicKey) and not (keys.rsa and key.key_size >= keys.rsa_bits):
        raise KeyNotAccepted
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP384R1) and not keys.p384:
        raise KeyNotAccepted


def certified_key_fits(der: bytes) -> bool:
    """Tell whether the key in a certificate (DER), whoever made it, is one that we certify."""
    try:
        check_key(x509.load_der_x509_certificate(der).public_key())
    except (ValueError, UnsupportedAlgorithm, KeyNotAccepted):
        return False
    return True
