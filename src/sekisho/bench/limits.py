"""What the machine could do at best."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sekisho.vault.pins import PinHasher

_KEYS = 256
_PAGE = b"x" * 4096


def repeated(once: Callable[[], object], seconds: float) -> float:
    """Return how often a second one thread can do it."""
    start = now = time.perf_counter()
    done = 0
    while now - start < seconds:
        once()
        done += 1
        now = time.perf_counter()
    return done / (now - start)


def argon2_rate(pins: PinHasher, verifier: str, pin: str, seconds: float) -> float:
    """Return checks a second with every core at work on nothing else."""
    rates: list[float] = []
    threads = [
        threading.Thread(target=lambda: rates.append(repeated(lambda: pins.verify(verifier, pin), seconds)))
        for _ in range(os.cpu_count() or 1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(rates)


def flush_rate(folder: Path, seconds: float) -> float:
    """Return how many appended pages a second one thread can have flushed to disk, one after the other."""
    file = folder / "flushed"
    with file.open("wb", buffering=0) as written:

        def once() -> None:
            written.write(_PAGE)
            os.fdatasync(written.fileno())

        rate = repeated(once, seconds)
    file.unlink()
    return rate


def build_and_sign() -> Callable[[], bytes]:
    """Return what builds and signs one person's certificate with nothing but `cryptography`.

    The definition of "raw": a public key as DER goes in, a certificate as DER
    comes out, every extension of a person's certificate is built each time,
    nothing is kept from one to the next but the CA's key and name, and nothing
    is stored. The code stands here, apart from the product's, so that the
    measure stays the same when the product gets faster.
    """
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = _name(O="Bench Bank", CN="Sekisho 9990 Users CA")
    spkis = [_spki() for _ in range(_KEYS)]
    at = 0

    def once() -> bytes:
        nonlocal at
        at += 1
        key = load_der_public_key(spkis[at % _KEYS])
        assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101 - made above
        now = datetime.now(UTC).replace(microsecond=0)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(O="Bench Bank", OU="Users", CN=f"{at:011d}user1 9990"))
            .issuer_name(ca_name)
            .public_key(key)
            .serial_number(int.from_bytes(os.urandom(16)) or 1)
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=365))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
            .add_extension(_information(), critical=False)
            .add_extension(_crl_points(), critical=False)
            .sign(ca_key, hashes.SHA256(), ecdsa_deterministic=True)
        )
        return certificate.public_bytes(Encoding.DER)

    return once


def _spki() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _name(**parts: str) -> x509.Name:
    oids = {"O": NameOID.ORGANIZATION_NAME, "OU": NameOID.ORGANIZATIONAL_UNIT_NAME, "CN": NameOID.COMMON_NAME}
    country = x509.NameAttribute(NameOID.COUNTRY_NAME, "JP")
    return x509.Name([country, *(x509.NameAttribute(oids[name], value) for name, value in parts.items())])


def _usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _information() -> x509.AuthorityInformationAccess:
    addresses = [
        (AuthorityInformationAccessOID.OCSP, "http://pki.example.com/ocsp"),
        (AuthorityInformationAccessOID.CA_ISSUERS, "http://pki.example.com/9990/user.cer"),
    ]
    return x509.AuthorityInformationAccess(
        [x509.AccessDescription(what, x509.UniformResourceIdentifier(where)) for what, where in addresses]
    )


def _crl_points() -> x509.CRLDistributionPoints:
    where = x509.UniformResourceIdentifier("http://pki.example.com/9990/user.crl")
    return x509.CRLDistributionPoints(
        [x509.DistributionPoint(full_name=[where], relative_name=None, reasons=None, crl_issuer=None)]
    )
