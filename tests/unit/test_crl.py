"""Revocation lists that are put together from stored entries are what `cryptography` would have made of them."""

from __future__ import annotations

import os
import random
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.authority import NOW, new_hierarchy

from sekisho.ca.listed import LastList
from sekisho.domain.certificate import Reason
from sekisho.domain.person import Kind
from sekisho.pki import crl

PAIR = new_hierarchy().issuing[Kind.USER]
ADDRESS = "http://localhost:8444/9990/user-3.crl"
Entries = list[tuple[int, datetime, Reason]]
moments = st.integers(946_684_800, 4_733_510_400).map(lambda at: datetime.fromtimestamp(at, UTC))
entries = st.lists(
    st.tuples(st.integers(1, (1 << 128) - 1), moments, st.sampled_from(Reason)), max_size=40, unique_by=lambda e: e[0]
)


def asked(of: Entries, **changed: Any) -> crl.RevocationList:
    written = b"".join(crl.entry(*one) for one in of)
    return replace(crl.RevocationList(written, int(NOW.timestamp()), NOW, NOW + timedelta(days=1)), **changed)


def signed(wanted: crl.RevocationList) -> x509.CertificateRevocationList:
    frame = crl.Frame(PAIR.certificate, wanted)
    tbs = frame.to_be_signed()
    return x509.load_der_x509_crl(frame.signed(tbs, PAIR.key.sign(tbs, ec.ECDSA(hashes.SHA256()))))


def by_cryptography(of: Entries, wanted: crl.RevocationList) -> x509.CertificateRevocationList:
    """Make the same list entry by entry."""
    revoked = []
    for serial, at, reason in of:
        builder = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at)
        if reason is not Reason.UNSPECIFIED:
            builder = builder.add_extension(x509.CRLReason(x509.ReasonFlags(reason.value)), critical=False)
        revoked.append(builder.build())
    key_id = PAIR.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    made = (
        x509.CertificateRevocationListBuilder(
            PAIR.certificate.subject, wanted.this_update, wanted.next_update, revoked_certificates=revoked
        )
        .add_extension(x509.CRLNumber(wanted.number), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id), critical=False)
    )
    if wanted.address is not None:
        point = x509.IssuingDistributionPoint(
            full_name=[x509.UniformResourceIdentifier(wanted.address)],
            relative_name=None,
            only_contains_user_certs=False,
            only_contains_ca_certs=False,
            only_some_reasons=None,
            indirect_crl=False,
            only_contains_attribute_certs=False,
        )
        made = made.add_extension(point, critical=True)
    return made.sign(PAIR.key, hashes.SHA256())


@pytest.mark.parametrize("address", [None, ADDRESS])
@given(of=entries)
@example(of=[])
@example(
    of=[(0x80, NOW, Reason.UNSPECIFIED), (0x7F, NOW, Reason.CERTIFICATE_HOLD), ((1 << 128) - 1, NOW, Reason.SUPERSEDED)]
)
@example(of=[(7, datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC), Reason.SUPERSEDED)])
@example(of=[(7, datetime(2050, 1, 1, tzinfo=UTC), Reason.SUPERSEDED)])
def test_the_same_octets(address: str | None, of: Entries) -> None:
    wanted = asked(of, address=address)
    ours, theirs = signed(wanted), by_cryptography(of, wanted)
    assert ours.tbs_certlist_bytes == theirs.tbs_certlist_bytes
    assert ours.signature_algorithm_oid == theirs.signature_algorithm_oid
    assert ours.is_signature_valid(PAIR.certificate.public_key())  # type: ignore[arg-type]


def test_the_same_octets_of_lists_whose_length_takes_one_octet_more() -> None:
    for count in (1, 2, 3, 5, 6, 7, 1_500, 6_000):
        of = [(int.from_bytes(os.urandom(16)) | 1, NOW, Reason.SUPERSEDED) for _ in range(count)]
        wanted = asked(of)
        assert signed(wanted).tbs_certlist_bytes == by_cryptography(of, wanted).tbs_certlist_bytes


@pytest.mark.parametrize("year", [2049, 2050])
def test_dates_of_the_list_change_their_form_in_2050(year: int) -> None:
    at = datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC)
    wanted = asked([(7, at, Reason.SUPERSEDED)], this_update=at, next_update=at + timedelta(days=1), number=1 << 40)
    ours = signed(wanted)
    assert ours.tbs_certlist_bytes == by_cryptography([(7, at, Reason.SUPERSEDED)], wanted).tbs_certlist_bytes
    assert ours.last_update_utc == at


@pytest.mark.parametrize(
    "changed",
    [
        {"number": int(NOW.timestamp()) - 1},
        {"next_update": NOW},
        {"next_update": NOW + timedelta(days=10, seconds=1)},
        {"entries": b"\x30\x00"},
        {"entries": b"\x30\x82"},
        {"entries": b"\x05\x00"},
        {"entries": crl.entry(7, NOW, Reason.SUPERSEDED) + b"\x00"},
        {"entries": crl.entry(7, NOW, Reason.SUPERSEDED)[:-1]},
    ],
)
def test_what_is_no_list_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(crl.ListRefused):
        signed(asked([], **changed))


@given(of=entries)
def test_entries_are_told_apart_and_read_as_they_were_written(of: Entries) -> None:
    one_by_one = crl.split(asked(of).entries)
    assert one_by_one == [crl.entry(*one) for one in of]
    assert [crl.read_entry(one) for one in one_by_one] == of


@pytest.mark.parametrize(
    "wrong",
    [
        b"no entry",
        crl.entry(7, NOW, Reason.SUPERSEDED)[:-1],
        crl.entry(7, NOW, Reason.SUPERSEDED) + b"\x00",
        b"\x00" + crl.entry(7, NOW, Reason.SUPERSEDED),
        crl.entry(7, NOW, Reason.UNSPECIFIED) + b"\x30\x00" + crl.entry(8, NOW, Reason.UNSPECIFIED),
    ],
)
def test_what_is_between_entries_is_refused(wrong: bytes) -> None:
    with pytest.raises(crl.ListRefused):
        crl.split(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        b"\x31" + crl.entry(7, NOW, Reason.SUPERSEDED)[1:],
        crl.entry(7, NOW, Reason.SUPERSEDED)[:-1] + b"\x08",  # removeFromCRL
        crl.entry(7, NOW, Reason.SUPERSEDED).replace(b"261124", b"261324"),
        crl.entry(7, NOW, Reason.SUPERSEDED).replace(b"\x02\x01\x07", b"\x02\x02\x00\x07"),
        bytes([0x30, 0x7F]) + crl.entry(7, NOW, Reason.SUPERSEDED)[2:],
    ],
)
def test_an_entry_that_nobody_wrote_is_refused(wrong: bytes) -> None:
    with pytest.raises(crl.ListRefused):
        crl.read_entry(wrong)


def _entries(count: int) -> list[bytes]:
    return [crl.entry(secrets.randbits(120) | 1, NOW, Reason.SUPERSEDED) for _ in range(count)]


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 5003])
def test_of_the_next_list_only_what_differs_from_the_last_is_new(size: int) -> None:
    """Entries come and go anywhere: whatever the last list did not have is told, and all of it is remembered."""
    chance = random.Random(size)
    last, had = LastList(), _entries(size)
    assert last.take(b"".join(had)) == had
    for _ in range(12):
        has = [one for one in had if chance.random() > chance.choice([0, 0, 0.001, 0.3])]
        if chance.random() < 0.2:
            del has[: len(has) // 2]
        added = _entries(chance.choice([0, 1, 40, 3000]))
        for one in added:
            has.insert(chance.randint(0, len(has)), one)
        told = last.take(b"".join(has))
        assert set(told) >= set(added), "what is new is told"
        assert len(told) == len(set(told))
        assert set(told) <= set(has)
        assert last.take(b"".join(has)) == [], "all of it is known"
        had = has


def test_what_is_no_entry_is_found_wherever_it_stands() -> None:
    had = _entries(3000)
    for at in (0, 1, 1500, 3000):
        last = LastList()
        last.take(b"".join(had))
        with pytest.raises(crl.ListRefused):
            last.take(b"".join([*had[:at], b"\x30\x00", *had[at:]]))
        assert last.take(b"".join(had)) == [], "the last list stays remembered"
