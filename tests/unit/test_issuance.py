"""The fast way to write certificates out writes what the plain one does, octet for octet."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tests.support.authority import BANK, PKI_URL, new_hierarchy, order, spki

from sekisho.domain.person import Kind
from sekisho.pki import hierarchy, profile
from sekisho.pki.csr import load_key
from sekisho.pki.issuance import Issuance

MADE = new_hierarchy()


def issuance(kind: Kind) -> Issuance:
    addresses = hierarchy.addresses(BANK.code, kind, PKI_URL)
    return Issuance(BANK, kind, issuer=MADE.issuing[kind].certificate, addresses=addresses)


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)])
@pytest.mark.parametrize("kind", Kind)
def test_the_same_octets(kind: Kind, key: Any) -> None:
    name = "123456789019990" if kind is Kind.ADMINISTRATOR else "12345678901a9990"
    asked = order(kind=kind, common_name=name, spki=spki(key))
    pair = MADE.issuing[kind]
    addresses = hierarchy.addresses(BANK.code, kind, PKI_URL)
    plain = profile.person(asked, BANK, issuer=pair.certificate, addresses=addresses)
    signed = [
        builder.sign(pair.key, hashes.SHA256(), ecdsa_deterministic=True)
        for builder in (plain, issuance(kind).builder(asked, load_key(asked.spki)))
    ]
    assert signed[0] == signed[1]


def test_each_issuing_ca_has_its_own_kind_of_person_alone() -> None:
    with pytest.raises(profile.ProfileBroken):
        issuance(Kind.ADMINISTRATOR).builder(asked := order(), load_key(asked.spki))
