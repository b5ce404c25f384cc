"""Keys that get no certificate: real weak ones, made here by the formulas of those who broke them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import gmpy2  # type: ignore[import-untyped]  # it has no types
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from tests.support.authority import spki
from tests.support.world import csr_der

from sekisho.domain.certified_keys import KeyRules
from sekisho.domain.errors import CsrNotAccepted, KeyNotAccepted, KeyWeak
from sekisho.pki import csr, weak_keys
from sekisho.pki.compromised_keys import CompromisedKeys, key_hash
from sekisho.pki.csr import check_key, read_csr

if TYPE_CHECKING:
    from collections.abc import Callable

# A P-256 key that OpenSSL of Debian made in 2008 (CVE-2008-0166): process 0, 32 bits, published since.
DEBIAN = 0xD8CCA02ED77555B92B354F939A68F29ECAD7221AE11C995CA904C4994B7D66BD


def rsa_key(p: int, q: int, e: int = 65537) -> rsa.RSAPrivateKey:
    p, q = int(p), int(q)
    d = rsa.rsa_recover_private_exponent(e, p, q)
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), rsa.RSAPublicNumbers(e, p * q)
    )
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


def prime_after(start: int) -> int:
    found = gmpy2.next_prime(start)
    while (found - 1) % 65537 == 0:
        found = gmpy2.next_prime(found)
    return int(found)


def close_primes() -> rsa.RSAPrivateKey:
    """Return two primes that are neighbours, as a printer's library made them (CVE-2022-26320)."""
    p = prime_after((3 << 1022) + (1 << 900) + 12345)
    return rsa_key(p, prime_after(p + (1 << 400)))


def infineon() -> rsa.RSAPrivateKey:
    """Return a key of ROCA's shape: each prime is k*M + 65537^a mod M, M the product of the first 126 primes."""
    product, prime = 1, 2
    for _ in range(126):
        product, prime = product * prime, int(gmpy2.next_prime(prime))
    found: list[int] = []
    a, least = 1, (3 << 1022) // product + 1
    while len(found) < 2:
        a += 1
        candidate = (least + a) * product + pow(65537, a, product)
        if candidate.bit_length() == 1024 and gmpy2.is_prime(candidate):
            found.append(candidate)
    return rsa_key(*found)


def small_factor() -> rsa.RSAPrivateKey:
    """Return a modulus with a prime that trial division finds."""
    p = 65521
    return rsa_key(p, prime_after((3 << 2046) // p))


def regular_bits() -> rsa.RSAPrivateKey:
    """Return two primes that are almost all zeros, which a library that fills words by halves makes."""
    words = sum((0xC000 | at * 37 % 2048) << 128 * at for at in range(8))
    p = prime_after(words << 112)
    return rsa_key(p, prime_after(sum((0xC000 | at * 91 % 2048) << 128 * at for at in range(8)) << 112))


@pytest.mark.parametrize(
    ("weakness", "make"),
    [("fermat", close_primes), ("roca", infineon), ("smallfactors", small_factor), ("rsapoly", regular_bits)],
)
def test_a_key_that_can_be_worked_out_is_refused(weakness: str, make: Callable[[], rsa.RSAPrivateKey]) -> None:
    with pytest.raises(KeyWeak) as told:
        read_csr(csr_der(make()))
    assert told.value.values == {"weakness": weakness}


def test_good_keys_of_every_size_are_not_called_weak() -> None:
    for bits in (2048, 2056, 3072, 4096):
        assert read_csr(csr_der(rsa.generate_private_key(65537, bits)))


@pytest.mark.parametrize("e", [3, 17, 65539, (1 << 33) + 1, (1 << 255) + 1], ids=hex)
def test_exponents_other_than_the_usual_one(e: int) -> None:
    p = prime_after(3 << 1022)
    while True:
        p, q = prime_after(p), prime_after(p + (1 << 1021))
        try:
            key = rsa_key(p, q, e)
        except ValueError:  # not invertible
            continue
        break
    with pytest.raises(KeyNotAccepted):
        read_csr(csr_der(key))


@pytest.mark.parametrize("e", [2, 65536])
def test_an_even_exponent_is_no_key_at_all(e: int) -> None:
    good = csr_der(rsa.generate_private_key(65537, 2048))
    with pytest.raises((CsrNotAccepted, KeyNotAccepted)):
        read_csr(good.replace(b"\x02\x03\x01\x00\x01", b"\x02\x03" + e.to_bytes(3)))


@pytest.mark.parametrize("bits", [1024, 2040, 2047, 2049, 4104, 16384])
def test_sizes_of_rsa_that_are_not_certified(bits: int) -> None:
    with pytest.raises(KeyNotAccepted):
        check_key(rsa.RSAPublicNumbers(65537, (1 << bits) - 12345).public_key())


@pytest.mark.parametrize("curve", [ec.SECP224R1(), ec.SECP521R1(), ec.BrainpoolP256R1()], ids=lambda curve: curve.name)
def test_curves_that_are_not_certified(curve: ec.EllipticCurve) -> None:
    with pytest.raises(KeyNotAccepted):
        read_csr(csr_der(ec.generate_private_key(curve)))


def test_nothing_is_computed_with_a_key_of_sixteen_thousand_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its size is refused before a signature is checked or a modulus factored: a site must not be stalled by it."""
    computed: list[str] = []
    monkeypatch.setattr(csr, "check_not_weak", lambda _: computed.append("weak"))
    real = x509.load_der_x509_csr

    class Watched:
        def __init__(self, data: bytes) -> None:
            self._request = real(data)

        def __getattr__(self, name: str) -> Any:
            computed.append(name)
            return getattr(self._request, name)

    monkeypatch.setattr(x509, "load_der_x509_csr", Watched)
    small = csr_der(rsa.generate_private_key(65537, 2048))
    # The same request with a modulus of 16,384 bits in it; whether its signature would hold is never asked.
    modulus = ((1 << 16384) - 12345).to_bytes(2048)
    request = x509.load_der_x509_csr(bytes(huge_request(small, modulus)))._request  # type: ignore[attr-defined]
    assert request.public_key().public_numbers().n.bit_length() == 16384
    with pytest.raises(KeyNotAccepted):
        read_csr(huge_request(small, modulus))
    assert computed == ["public_key"]


def huge_request(small: bytes, modulus: bytes) -> bytes:
    """Return a PKCS #10 request like `small` with another modulus, its lengths put right."""
    from cryptography.hazmat import asn1

    def wrapped(tag: int, *parts: bytes) -> bytes:
        inside = b"".join(parts)
        return (
            bytes([tag]) + (bytes([len(inside)]) if len(inside) < 128 else b"\x82" + len(inside).to_bytes(2)) + inside
        )

    outer = asn1.decode_der(asn1.TLV, small)
    info = asn1.decode_der(asn1.TLV, bytes(outer.data)[: _length(bytes(outer.data))])
    tail = bytes(outer.data)[_length(bytes(outer.data)) :]
    inside = bytes(info.data)
    key_at = inside.index(bytes.fromhex("300d06092a864886f70d0101010500")) - 4
    after = inside[key_at + _length(inside[key_at:]) :]
    numbers = wrapped(0x30, wrapped(0x02, b"\x00" + modulus), b"\x02\x03\x01\x00\x01")
    key = wrapped(0x30, bytes.fromhex("300d06092a864886f70d0101010500"), wrapped(0x03, b"\x00", numbers))
    return wrapped(0x30, wrapped(0x30, inside[:key_at], key, after), tail)


def _length(der: bytes) -> int:
    """How many octets the first value in `der` takes: those that have a length of two octets."""
    assert der[1] == 0x82
    return 4 + int.from_bytes(der[2:4])


@pytest.mark.parametrize("algorithm", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()], ids=lambda h: h.name)
@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)])
def test_hashes_that_a_request_may_be_signed_with(key: Any, algorithm: Any) -> None:
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, algorithm)
    assert read_csr(request.public_bytes(Encoding.DER)).spki == spki(key)


def test_pss_is_read_as_well() -> None:
    key = rsa.generate_private_key(65537, 2048)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    request = (
        x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256(), rsa_padding=pss)
    )
    assert read_csr(request.public_bytes(Encoding.DER)).spki == spki(key)


@pytest.mark.parametrize("algorithm", [hashes.SHA224(), hashes.SHA3_256()], ids=lambda h: h.name)
def test_hashes_that_are_refused(algorithm: Any) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, algorithm)
    assert request.is_signature_valid
    with pytest.raises(CsrNotAccepted):
        read_csr(request.public_bytes(Encoding.DER))


def test_a_key_that_others_have_is_refused() -> None:
    """The list is badkeys': a weak Debian key is found by its x coordinate, an RSA key by its modulus."""
    debian = ec.derive_private_key(DEBIAN, ec.SECP256R1())
    x = debian.public_key().public_numbers().x
    assert f"{x:x}".startswith("20828a70d6bd46c9"), "the key as it was published"
    known = rsa.generate_private_key(65537, 2048)
    n = known.public_key().public_numbers().n
    records = sorted(
        [
            hashlib.sha256(x.to_bytes(32)).digest()[:15] + b"\x01",
            hashlib.sha256(n.to_bytes(256)).digest()[:15] + b"\x07",
        ]
        + [hashlib.sha256(b"%d" % other).digest()[:15] + b"\x02" for other in range(5000)]
    )
    listed = CompromisedKeys(b"".join(records))
    assert len(listed) == 5002
    for key in (debian, known):
        with pytest.raises(KeyWeak) as told:
            listed.check(spki(key))
        assert told.value.values == {"weakness": "compromised"}
    for key in (ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)):
        listed.check(spki(key))
        CompromisedKeys().check(spki(key))


def test_the_first_and_the_last_of_a_list_are_found() -> None:
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    records = sorted(key_hash(key.public_key().public_numbers().x) + b"\x00" for key in keys)
    for key in keys:
        with pytest.raises(KeyWeak):
            CompromisedKeys(b"".join(records)).check(spki(key))


@pytest.mark.parametrize("records", [b"x" * 15, b"x" * 33, b"b" * 16 + b"a" * 16], ids=repr)
def test_what_is_no_list_is_refused(records: bytes) -> None:
    with pytest.raises(ValueError, match="records in order"):
        CompromisedKeys(records)


def test_nothing_outside_the_wheel_is_asked_for() -> None:
    """The library ends the process where its blocklist was not fetched: that check is not among ours."""
    import badkeys  # type: ignore[import-untyped]  # it has no types

    assert "blocklist" not in weak_keys._CHECKS
    assert set(weak_keys._CHECKS) <= set(badkeys.allchecks)


@pytest.mark.parametrize(
    ("rules", "refused"),
    [
        (KeyRules(), ()),
        (KeyRules(p384=False), ("p384",)),
        (KeyRules(rsa=False), ("rsa2048", "rsa3072")),
        (KeyRules(rsa_bits=3072), ("rsa2048",)),
        (KeyRules(p384=False, rsa=False), ("p384", "rsa2048", "rsa3072")),
    ],
)
def test_a_bank_certifies_fewer_kinds_of_keys(rules: KeyRules, refused: tuple[str, ...]) -> None:
    keys: dict[str, Any] = {
        "p256": ec.generate_private_key(ec.SECP256R1()),
        "p384": ec.generate_private_key(ec.SECP384R1()),
        "rsa2048": rsa.generate_private_key(65537, 2048),
        "rsa3072": rsa.generate_private_key(65537, 3072),
    }
    for name, key in keys.items():
        if name in refused:
            with pytest.raises(KeyNotAccepted):
                read_csr(csr_der(key), rules)
        else:
            assert read_csr(csr_der(key), rules).spki == spki(key)
