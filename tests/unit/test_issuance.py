"""The fast way to write certificates out writes what the plain one does, octet for octet."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.support.authority import BANK, PKI_URL, new_hierarchy, order, spki

from sekisho.domain.person import Kind
from sekisho.pki import hierarchy, profile
from sekisho.pki.csr import load_key
from sekisho.pki.issuance import SIGNATURE, Issuance

MADE = new_hierarchy()


def issuance(kind: Kind) -> Issuance:
    addresses = hierarchy.addresses(BANK.code, kind, PKI_URL)
    return Issuance(BANK, kind, issuer=MADE.issuing[kind].certificate, addresses=addresses)


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        rsa.generate_private_key(65537, 2048),
    ],
)
@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("shard", [None, 0, 999])
def test_the_same_octets(kind: Kind, key: Any, shard: int | None) -> None:
    name = "123456789019990" if kind is Kind.ADMINISTRATOR else "12345678901a9990"
    asked = order(kind=kind, common_name=name, spki=spki(key), shard=shard)
    assert written(asked) == plain(asked)


@pytest.mark.parametrize("serial", [1, 0x7F, 0x80, 0xFF, 0x100, (1 << 127) - 1, 1 << 127, (1 << 128) - 1])
def test_the_same_octets_of_every_length_of_number_and_name(serial: int) -> None:
    for length in (1, 2, 30):
        asked = order(serial=serial, common_name=f"12345678901{'a' * length}9990")
        assert written(asked) == plain(asked)


@pytest.mark.parametrize("year", [2049, 2050])
def test_dates_from_2050_on_are_written_in_full(year: int) -> None:
    at = datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC)
    asked = order(not_before=at - timedelta(days=365), not_after=at)
    lasting = hierarchy.make(BANK, pki_url=PKI_URL, now=at - timedelta(days=400), entropy=os.urandom).issuing[Kind.USER]
    addresses = hierarchy.addresses(BANK.code, Kind.USER, PKI_URL)
    tbs = Issuance(BANK, Kind.USER, issuer=lasting.certificate, addresses=addresses).to_be_signed(
        asked, load_key(asked.spki)
    )
    builder = profile.person(asked, BANK, issuer=lasting.certificate, addresses=addresses)
    assert tbs == builder.sign(lasting.key, hashes.SHA256()).tbs_certificate_bytes


def test_dates_are_in_utc() -> None:
    """Else the year that decides how a date is written would not be the year that is written."""
    at = datetime(2027, 1, 1, 8, tzinfo=timezone(timedelta(hours=9)))
    for wrong in ({"not_after": at}, {"not_before": at - timedelta(days=90)}):
        asked = order(**wrong)
        with pytest.raises(profile.ProfileBroken, match="UTC"):
            issuance(Kind.USER).to_be_signed(asked, load_key(asked.spki))


def test_a_key_in_octets_that_are_not_its_own_is_not_certified() -> None:
    """A point may be written compressed; what is certified is compared octet for octet ever after."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    whole = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    point = key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    compressed = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200") + point
    assert load_key(compressed).public_numbers() == load_key(whole).public_numbers()
    with pytest.raises(profile.ProfileBroken):
        issuance(Kind.USER).to_be_signed(asked := order(spki=compressed), load_key(asked.spki))


def test_each_issuing_ca_has_its_own_kind_of_person_alone() -> None:
    with pytest.raises(profile.ProfileBroken):
        issuance(Kind.ADMINISTRATOR).to_be_signed(asked := order(), load_key(asked.spki))


def written(asked: profile.Order) -> bytes:
    mine = issuance(asked.kind)
    tbs = mine.to_be_signed(asked, load_key(asked.spki))
    return mine.signed(tbs, MADE.issuing[asked.kind].key.sign(tbs, SIGNATURE))


def plain(asked: profile.Order) -> bytes:
    pair = MADE.issuing[asked.kind]
    addresses = hierarchy.addresses(BANK.code, asked.kind, PKI_URL)
    builder = profile.person(asked, BANK, issuer=pair.certificate, addresses=addresses)
    return builder.sign(pair.key, hashes.SHA256(), ecdsa_deterministic=True).public_bytes(Encoding.DER)
