"""A sample of what was issued is shown to pkilint, and what it finds is told."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from tests.support.world import ADMINISTRATOR, KEIRI01, KEIRI02, World

from sekisho.domain.person import Kind
from sekisho.store.audit import Actor
from sekisho.usecases.sample_certificates import sample_certificates

if TYPE_CHECKING:
    import pytest

    from sekisho.domain.certificate import IssuedCertificate

ACTOR = Actor("test")


def spoil(bank: World, issued: IssuedCertificate) -> None:
    """Put a certificate into the database that names nobody and has no extensions."""
    leaf = x509.load_der_x509_certificate(issued.der)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(leaf.issuer)
        .public_key(leaf.public_key())
        .serial_number(leaf.serial_number)
        .not_valid_before(leaf.not_valid_before_utc)
        .not_valid_after(leaf.not_valid_after_utc)
    )
    der = builder.sign(bank.made.issuing[Kind.USER].key, hashes.SHA256()).public_bytes(Encoding.DER)
    literal = f"'\\x{der.hex()}'" if bank.db.writing.dialect.name == "postgresql" else f"X'{der.hex()}'"
    bank.change_unguarded(f"UPDATE certificate_bytes SET der = {literal} WHERE certificate_id = {issued.id}")  # noqa: S608 - the test's own


def test_good_ones_leave_no_trace(bank: World) -> None:
    for who in (ADMINISTRATOR, KEIRI01, KEIRI02):
        bank.acquire(who)
    rows = len(bank.rows("SELECT id FROM audit"))
    assert sample_certificates(bank.ports, actor=ACTOR) == (3, [])
    assert sample_certificates(bank.ports, actor=ACTOR, most=2)[0] == 2
    assert len(bank.rows("SELECT id FROM audit")) == rows
    bank.later(hours=3)
    assert sample_certificates(bank.ports, actor=ACTOR)[0] == 0, "none of the last two hours"
    assert sample_certificates(bank.ports, actor=ACTOR, lately=None)[0] == 3


def test_a_faulty_one_is_told(bank: World, caplog: pytest.LogCaptureFixture) -> None:
    bank.acquire(KEIRI02)
    issued = bank.acquire(KEIRI01)
    spoil(bank, issued)
    with caplog.at_level(logging.CRITICAL):
        count, (faulty,) = sample_certificates(bank.ports, actor=ACTOR)
    assert (count, faulty.certificate.serial) == (2, issued.serial)
    assert faulty.findings
    assert f"{issued.serial:032x}" in caplog.text
    row = bank.rows("SELECT serial, contract_id FROM audit WHERE action = 'certificate-faulty'")
    assert [(one.serial, one.contract_id) for one in row] == [(f"{issued.serial:032x}", KEIRI01.contract_id)]
