"""Each rule of the linter is broken by itself, and the linter names it: docs/reference/certificate-rules.md."""

from __future__ import annotations

import logging
import os
import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from tests.support.authority import BANK, NOW, PKI_URL, new_hierarchy, order, spki

from sekisho.ca import process, wire
from sekisho.ca.authority import Authority
from sekisho.ca.journal import Journal
from sekisho.ca.signer import Signer
from sekisho.domain.issuing_ca import IssuingCa
from sekisho.domain.person import Kind
from sekisho.pki import hierarchy, ocsp, profile, staff
from sekisho.pki.csr import load_key
from sekisho.pki.issuance import Issuance
from sekisho.pki.linting import authority, form, reading
from sekisho.pki.linting.finding import Finding, LintFailed
from sekisho.pki.linting.key import ReadingKey
from sekisho.pki.linting.person import PersonLinter
from sekisho.pki.linting.responder import guard_responder, responder_form
from sekisho.pki.linting.staff import staff_form

if TYPE_CHECKING:
    from collections.abc import Callable

MADE = new_hierarchy()
PAIR = MADE.issuing[Kind.USER]
ADDRESSES = hierarchy.addresses(BANK.code, Kind.USER, PKI_URL)
CRL = ADDRESSES.crl(None)
LINTER = PersonLinter(BANK, Kind.USER, issuer=PAIR.certificate, addresses=ADDRESSES)
ISSUANCE = Issuance(BANK, Kind.USER, issuer=PAIR.certificate, addresses=ADDRESSES)
THROW_AWAY = ec.generate_private_key(ec.SECP256R1())
OTHER = MADE.issuing[Kind.ADMINISTRATOR].certificate
OIDS = x509.oid.ExtensionOID

Parts = reading.Certificate


def tbs_of(asked: profile.Order) -> bytes:
    return ISSUANCE.to_be_signed(asked, load_key(asked.spki))


def rules(tbs: bytes, asked: profile.Order) -> set[str]:
    return {finding.rule for finding in LINTER.findings(tbs, asked)}


def tlv(value: Any) -> asn1.TLV:
    return asn1.decode_der(asn1.TLV, value if isinstance(value, bytes) else asn1.encode_der(value))


def with_extension(oid: x509.ObjectIdentifier, value: bytes, *, critical: bool) -> Callable[[Parts], Parts]:
    def change(parts: Parts) -> Parts:
        written = [
            one if one.type != oid else reading.Written(type=oid, critical=critical, value=value)
            for one in parts.extensions
        ]
        return replaced(parts, extensions=written)

    return change


def replaced(parts: Parts, **changed: Any) -> Parts:
    fields = ("version", "serial", "signature", "issuer", "validity", "subject", "key", "extensions")
    return Parts(**{name: changed.get(name, getattr(parts, name)) for name in fields})


def changed(**values: Any) -> Callable[[Parts], Parts]:
    return lambda parts: replaced(parts, **values)


def named(at: int, der: bytes) -> Callable[[Parts], Parts]:
    """Have another string in the place of one attribute of the subject."""

    def change(parts: Parts) -> Parts:
        subject = list(parts.subject)
        (one,) = subject[at].as_list()
        subject[at] = asn1.SetOf([reading.Attribute(type=one.type, value=tlv(der))])
        return replaced(parts, subject=subject)

    return change


def utf8(text: str) -> bytes:
    return bytes(asn1.encode_der(text))


@asn1.sequence
class Validity:
    not_before: asn1.GeneralizedTime
    not_after: asn1.GeneralizedTime


def extensions_without(parts: Parts, oid: x509.ObjectIdentifier) -> Parts:
    return replaced(parts, extensions=[one for one in parts.extensions if one.type != oid])


def one_more(parts: Parts, oid: str | None = None) -> Parts:
    more = reading.Written(
        type=parts.extensions[-1].type if oid is None else x509.ObjectIdentifier(oid), critical=False, value=b"\x05\x00"
    )
    return replaced(parts, extensions=[*parts.extensions, more])


def key_usage(**more: bool) -> bytes:
    names = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
        *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(
        **{"digital_signature": True, **{name: more.get(name, False) for name in names[1:]}}
    ).public_bytes()


def information(*addresses: tuple[x509.ObjectIdentifier, str]) -> bytes:
    return x509.AuthorityInformationAccess(
        [x509.AccessDescription(what, x509.UniformResourceIdentifier(where)) for what, where in addresses]
    ).public_bytes()


def crl_at(*addresses: str) -> bytes:
    return x509.CRLDistributionPoints(
        [x509.DistributionPoint([x509.UniformResourceIdentifier(one)], None, None, None) for one in addresses]
    ).public_bytes()


AIA = x509.oid.AuthorityInformationAccessOID
EKU = x509.oid.ExtendedKeyUsageOID
BROKEN: list[tuple[str, Callable[[Parts], Parts]]] = [
    ("version", changed(version=0)),
    ("version", changed(version=1)),
    ("serial-number", changed(serial=1 << 128)),
    ("serial-number", changed(serial=-5)),
    ("serial-number", changed(serial=0)),
    ("serial-number", changed(serial=7)),
    ("signature-algorithm", changed(signature=tlv(bytes.fromhex("300906072a8648ce3d0401")))),  # ecdsa-with-SHA1
    ("signature-algorithm", changed(signature=tlv(bytes.fromhex("300c06082a8648ce3d0403020500")))),  # NULL parameters
    ("issuer", changed(issuer=tlv(OTHER.subject.public_bytes()))),
    ("issuer", changed(issuer=tlv(PAIR.certificate.subject.public_bytes().replace(b"\x0c", b"\x13")))),
    (
        "validity",
        changed(
            validity=tlv(
                Validity(
                    not_before=asn1.GeneralizedTime(NOW - profile.BACKDATE),
                    not_after=asn1.GeneralizedTime(NOW + timedelta(days=365)),
                )
            )
        ),
    ),
    ("subject", named(3, utf8("12345678901keiri029990"))),
    ("subject", named(1, utf8("Mihon Shinkin Bаnk"))),  # a Cyrillic letter
    ("subject", lambda parts: replaced(parts, subject=parts.subject[:-1])),
    ("subject", lambda parts: replaced(parts, subject=[*parts.subject, parts.subject[-1]])),
    ("subject", lambda parts: replaced(parts, subject=parts.subject[::-1])),
    ("subject-strings", named(0, utf8("JP"))),
    ("subject-strings", named(3, b"\x13\x1612345678901keiri019990")),
    ("subject-strings", named(3, b"\x1e\x02\x00A")),  # BMPString
    ("subject-strings", named(3, b"\x0c\x02\xc3\x28")),  # no UTF-8
    ("subject-strings", lambda parts: replaced(parts, subject=[asn1.SetOf([*parts.subject[0].as_list()] * 2)])),
    ("subject-characters", named(3, utf8("12345678901keiri0\u202e19990"))),
    ("subject-characters", named(1, utf8("Mihon\u200bShinkin Bank"))),
    ("subject-characters", named(1, utf8("Mihon\nBank"))),
    ("subject-characters", named(1, utf8("Mihon Bank "))),
    ("subject-length", named(1, utf8("M" * 65))),
    ("subject-length", named(1, utf8(""))),
    ("key", changed(key=tlv(spki(THROW_AWAY)))),
    ("extension-missing", lambda parts: extensions_without(parts, OIDS.CRL_DISTRIBUTION_POINTS)),
    ("extension-missing", lambda parts: extensions_without(parts, OIDS.BASIC_CONSTRAINTS)),
    ("extension-twice", one_more),
    ("extension-unexpected", lambda parts: one_more(parts, "2.5.29.17")),
    ("extension-unexpected", lambda parts: one_more(parts, "1.2.3.4")),
    ("extension-critical", with_extension(OIDS.BASIC_CONSTRAINTS, b"\x30\x00", critical=False)),
    ("extension-critical", with_extension(OIDS.KEY_USAGE, key_usage(), critical=False)),
    ("extension-critical", with_extension(OIDS.CRL_DISTRIBUTION_POINTS, crl_at(CRL), critical=True)),
    ("basic-constraints", with_extension(OIDS.BASIC_CONSTRAINTS, bytes.fromhex("30030101ff"), critical=True)),
    ("key-usage", with_extension(OIDS.KEY_USAGE, key_usage(key_cert_sign=True), critical=True)),
    ("key-usage", with_extension(OIDS.KEY_USAGE, key_usage(content_commitment=True), critical=True)),
    (
        "extended-key-usage",
        with_extension(
            OIDS.EXTENDED_KEY_USAGE,
            x509.ExtendedKeyUsage([EKU.CLIENT_AUTH, EKU.SERVER_AUTH]).public_bytes(),
            critical=False,
        ),
    ),
    (
        "subject-key-identifier",
        with_extension(
            OIDS.SUBJECT_KEY_IDENTIFIER,
            x509.SubjectKeyIdentifier.from_public_key(THROW_AWAY.public_key()).public_bytes(),
            critical=False,
        ),
    ),
    (
        "authority-key-identifier",
        with_extension(
            OIDS.AUTHORITY_KEY_IDENTIFIER,
            x509.AuthorityKeyIdentifier.from_issuer_public_key(
                MADE.issuing[Kind.ADMINISTRATOR].key.public_key()
            ).public_bytes(),
            critical=False,
        ),
    ),
    (
        "authority-information-access",
        with_extension(
            OIDS.AUTHORITY_INFORMATION_ACCESS,
            information((AIA.OCSP, "http://elsewhere.example/ocsp"), (AIA.CA_ISSUERS, ADDRESSES.issuer)),
            critical=False,
        ),
    ),
    (
        "authority-information-access",
        with_extension(
            OIDS.AUTHORITY_INFORMATION_ACCESS, information((AIA.CA_ISSUERS, ADDRESSES.issuer)), critical=False
        ),
    ),
    (
        "crl-distribution-points",
        with_extension(OIDS.CRL_DISTRIBUTION_POINTS, crl_at(CRL.replace("user", "administrator")), critical=False),
    ),
    (
        "crl-distribution-points",
        with_extension(OIDS.CRL_DISTRIBUTION_POINTS, crl_at(ADDRESSES.crl(3)), critical=False),
    ),
    (
        "crl-distribution-points",
        with_extension(OIDS.CRL_DISTRIBUTION_POINTS, crl_at(CRL, CRL), critical=False),
    ),
]


def test_what_the_profile_makes_breaks_no_rule() -> None:
    for key in (
        *(ec.generate_private_key(c()) for c in (ec.SECP256R1, ec.SECP384R1)),
        rsa.generate_private_key(65537, 2048),
    ):
        for shard in (None, 0, 999):
            asked = order(spki=spki(key), shard=shard)
            assert LINTER.findings(tbs_of(asked), asked) == []


def test_the_parts_put_together_again_are_the_certificate() -> None:
    tbs = tbs_of(order())
    assert asn1.encode_der(reading.read(tbs)) == tbs, "or the tests below would break more than they say"


@pytest.mark.parametrize(("rule", "change"), BROKEN, ids=[f"{n}-{rule}" for n, (rule, _) in enumerate(BROKEN)])
def test_a_broken_rule_is_named(rule: str, change: Callable[[Parts], Parts]) -> None:
    asked = order()
    tbs = bytes(asn1.encode_der(change(reading.read(tbs_of(asked)))))
    found = rules(tbs, asked)
    assert rule in found
    assert len(found) <= 3, "a rule of its own, and at most what follows from it"


@pytest.mark.parametrize(
    ("rule", "wrong"),
    [
        ("kind", {"kind": Kind.ADMINISTRATOR}),
        ("common-name", {"common_name": "12345678901keiri019991"}),
        ("common-name", {"common_name": "123456789019990"}),
        ("life", {"not_after": NOW + timedelta(days=398)}),
        ("life", {"not_after": NOW - timedelta(days=1)}),
        ("life", {"not_before": NOW + timedelta(days=3600), "not_after": NOW + timedelta(days=3651)}),
        ("key-kind", {"spki": spki(ec.generate_private_key(ec.SECP521R1()))}),
        ("key-kind", {"spki": spki(rsa.generate_private_key(65537, 1024))}),  # noqa: S505 - that is the point
        ("key-kind", {"spki": spki(rsa.generate_private_key(3, 2048))}),
        ("key-kind", {"spki": spki(ed25519.Ed25519PrivateKey.generate())}),
        ("key-kind", {"spki": b"\x30\x00"}),
    ],
)
def test_an_order_that_no_certificate_may_repeat_is_named(rule: str, wrong: dict[str, Any]) -> None:
    assert rule in rules(tbs_of(order()), order(**wrong))


@pytest.mark.parametrize("tbs", [b"", b"\x30\x00", b"\x00" * 40, b"\x30\x82\xff\xff"], ids=repr)
def test_what_is_no_certificate_is_a_finding(tbs: bytes) -> None:
    assert rules(tbs, order()) == {"structure"}


def test_unique_identifiers_are_a_finding() -> None:
    asked = order()
    parts = tbs_of(asked)
    at = parts.index(b"\xa3\x82")
    inside = parts[4:at] + b"\x81\x02\x00\x01" + parts[at:]
    assert rules(b"\x30\x82" + len(inside).to_bytes(2) + inside, asked) == {"structure"}


def test_dates_from_2050_on_have_the_other_form() -> None:
    late = {"not_before": datetime(2049, 6, 1, tzinfo=UTC), "not_after": datetime(2050, 5, 1, tzinfo=UTC)}
    asked = order(**late)
    builder = profile.person(order(), BANK, issuer=PAIR.certificate, addresses=ADDRESSES)
    builder = x509.CertificateBuilder(
        *(builder._issuer_name, builder._subject_name, builder._public_key, asked.serial),
        *(late["not_before"].replace(tzinfo=None), late["not_after"].replace(tzinfo=None), builder._extensions),
    )
    tbs = builder.sign(THROW_AWAY, hashes.SHA256()).tbs_certificate_bytes
    assert b"\x18\x0f20500501000000Z" in tbs
    assert "validity" not in rules(tbs, asked)


def test_a_bug_in_the_profile_makes_no_certificate(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """The signer refuses it, its key signs nothing, and the log names the rule and no name of a person."""
    signed: list[bytes] = []

    def note(tbs: bytes) -> list[Finding]:
        signed.append(tbs)
        return []

    key: Any = ReadingKey(PAIR.key, note)
    issuing = MADE.cas | {IssuingCa(Kind.USER): hierarchy.KeyAndCertificate(key, PAIR.certificate)}
    signer = Signer(BANK, issuing, PKI_URL, now=lambda: NOW)
    assert signer.sign(order())
    assert len(signed) == 1
    wrong = hierarchy.addresses(BANK.code, Kind.USER, "http://elsewhere.example")
    signer._issuances[IssuingCa(Kind.USER)] = Issuance(BANK, Kind.USER, issuer=PAIR.certificate, addresses=wrong)
    with pytest.raises(LintFailed) as told:
        signer.sign(order())
    assert [finding.rule for finding in told.value.findings] == [
        "authority-information-access",
        "crl-distribution-points",
    ]
    assert len(signed) == 1
    with caplog.at_level(logging.ERROR):
        question = wire.question(wire.Ask.SIGN, [wire.order_part(order())])
        journal = Journal(tmp_path / "journal", b"k" * 32)
        assert process._results(question, Authority(signer, journal, now=lambda: NOW)) == [None]
        journal.close()
    assert "crl-distribution-points" in caplog.text
    assert "keiri01" not in caplog.text
    assert len(signed) == 1


def test_what_goes_wrong_with_the_key_is_no_fault_of_the_order(tmp_path: Path) -> None:
    """An order that is refused ends; one whose key does not sign waits, and keeps no other waiting."""
    asked = order()

    def fail(tbs: bytes) -> list[Finding]:
        if asked.serial.to_bytes(16) in tbs:
            raise ValueError("a fault of the key")
        return []

    key: Any = ReadingKey(PAIR.key, fail)
    issuing = MADE.cas | {IssuingCa(Kind.USER): hierarchy.KeyAndCertificate(key, PAIR.certificate)}
    with closing(Journal(tmp_path / "journal", b"k" * 32)) as journal:
        authority = Authority(Signer(BANK, issuing, PKI_URL, now=lambda: NOW), journal, now=lambda: NOW)
        parts = [wire.order_part(one) for one in (asked, order(not_after=NOW + timedelta(days=9000)), order())]
        waits, refused, signed = process._results(wire.question(wire.Ask.SIGN, parts), authority)
        assert (waits, refused) == (wire.WAITS, None)
        assert signed is not None
        assert signed[:1] == b"0"


def test_a_banks_name_that_hides_characters_makes_no_hierarchy() -> None:
    hidden = profile.BankName("9990", "Mihon \u200bBank")
    with pytest.raises(LintFailed, match="subject-characters"):
        hierarchy.make(hidden, pki_url=PKI_URL, now=NOW, entropy=lambda n: b"\x01" * n)


AUTHORITIES: list[tuple[str, Callable[[Parts], Parts]]] = [
    ("basic-constraints", with_extension(OIDS.BASIC_CONSTRAINTS, bytes.fromhex("30030101ff"), critical=True)),
    ("key-usage", with_extension(OIDS.KEY_USAGE, key_usage(key_cert_sign=True), critical=True)),
    ("extension-critical", with_extension(OIDS.KEY_USAGE, bytes.fromhex("03020106"), critical=False)),
    ("extension-missing", lambda parts: extensions_without(parts, OIDS.SUBJECT_KEY_IDENTIFIER)),
    ("serial-number", changed(serial=1)),
    ("key", changed(key=tlv(spki(THROW_AWAY)))),
]
CONSTRAINTS: tuple[str, Callable[[Parts], Parts]] = (
    "name-constraints",
    with_extension(
        OIDS.NAME_CONSTRAINTS,
        x509.NameConstraints([x509.DirectoryName(profile.subject(BANK, Kind.USER))], None).public_bytes(),
        critical=True,
    ),
)


@pytest.mark.parametrize("name", ["root", "administrator"])
def test_an_authority_that_breaks_a_rule_is_named(name: str) -> None:
    pair = MADE.root if name == "root" else MADE.issuing[Kind.ADMINISTRATOR]
    made = authority.Made(pair.key.public_key(), pair.certificate.serial_number, NOW)
    expected = (
        authority.root_form(BANK, made)
        if name == "root"
        else authority.issuing_form(
            *(BANK, Kind.ADMINISTRATOR, made),
            root=MADE.root.certificate,
            root_addresses=hierarchy.root_addresses("9990", PKI_URL),
        )
    )
    tbs = pair.certificate.tbs_certificate_bytes
    assert list(form.differences(tbs, expected)) == []
    for rule, change in [*AUTHORITIES, *([CONSTRAINTS] if name == "administrator" else [])]:
        broken = bytes(asn1.encode_der(change(reading.read(tbs))))
        assert [finding.rule for finding in form.differences(broken, expected)] == [rule]


RESPONDERS: list[tuple[str, Callable[[Parts], Parts]]] = [
    (
        "extended-key-usage",
        with_extension(
            OIDS.EXTENDED_KEY_USAGE, x509.ExtendedKeyUsage([EKU.CLIENT_AUTH]).public_bytes(), critical=False
        ),
    ),
    ("ocsp-no-check", with_extension(OIDS.OCSP_NO_CHECK, b"\x30\x00", critical=False)),
    ("extension-missing", lambda parts: extensions_without(parts, OIDS.OCSP_NO_CHECK)),
    ("key-usage", with_extension(OIDS.KEY_USAGE, key_usage(crl_sign=True), critical=True)),
    ("key", changed(key=tlv(spki(ec.generate_private_key(ec.SECP256R1()))))),
    ("subject", named(3, utf8("12345678901keiri019990"))),
]


def test_a_responder_that_breaks_a_rule_is_named_and_not_certified() -> None:
    made: dict[str, Any] = {"issuer": PAIR.certificate, "serial": 1 << 100, "now": NOW}
    key = THROW_AWAY.public_key()
    guarded = guard_responder(PAIR.key, BANK, Kind.USER, key=key, **made)
    certificate = ocsp.responder(BANK, Kind.USER, key, **made).sign(guarded, hashes.SHA256())
    assert certificate.issuer == PAIR.certificate.subject
    expected = responder_form(BANK, Kind.USER, key=key, **made)
    tbs = certificate.tbs_certificate_bytes
    for rule, change in RESPONDERS:
        broken = bytes(asn1.encode_der(change(reading.read(tbs))))
        assert [finding.rule for finding in form.differences(broken, expected)] == [rule]
    with pytest.raises(LintFailed, match="subject"):
        ocsp.responder(BANK, Kind.ADMINISTRATOR, key, **made).sign(guarded, hashes.SHA256())


STAFF: list[tuple[str, Callable[[Parts], Parts]]] = [
    (
        "extended-key-usage",
        with_extension(
            OIDS.EXTENDED_KEY_USAGE, x509.ExtendedKeyUsage([EKU.OCSP_SIGNING]).public_bytes(), critical=False
        ),
    ),
    ("key-usage", with_extension(OIDS.KEY_USAGE, key_usage(crl_sign=True), critical=True)),
    ("key", changed(key=tlv(spki(ec.generate_private_key(ec.SECP256R1()))))),
    ("subject", named(3, utf8("kakari02 9990"))),
]


def test_what_the_staffs_ca_signs_is_read_before(monkeypatch: pytest.MonkeyPatch) -> None:
    made = staff.make_staff_ca(BANK, now=NOW, entropy=os.urandom)
    serial, key, life = hierarchy.serial_number(NOW, bytes), THROW_AWAY.public_key(), timedelta(days=365)
    order: dict[str, Any] = {"key": key, "issuer": made.certificate, "serial": serial, "now": NOW, "life": life}
    expected = staff_form(BANK, "kakari01", **order)
    certified: dict[str, Any] = {"now": NOW, "life": life, "entropy": bytes}
    tbs = staff.issue_staff(made, BANK, "kakari01", key, **certified).tbs_certificate_bytes
    assert list(form.differences(tbs, expected)) == []
    for rule, change in STAFF:
        broken = bytes(asn1.encode_der(change(reading.read(tbs))))
        assert [finding.rule for finding in form.differences(broken, expected)] == [rule]
    # A profile that is not the one that was meant is signed by no key.
    monkeypatch.setattr(staff, "key_usage", lambda *, signs: x509.KeyUsage(*[not signs] * 2, *[False] * 7))
    with pytest.raises(LintFailed, match="key-usage"):
        staff.issue_staff(made, BANK, "kakari01", key, **certified)
    with pytest.raises(LintFailed, match="key-usage"):
        staff.make_staff_ca(BANK, now=NOW, entropy=os.urandom)


def test_every_rule_is_documented_and_none_else() -> None:
    source = "".join(file.read_text("utf-8") for file in Path(form.__file__).parent.glob("*.py"))
    known = set(re.findall(r'Finding\(\s*"([a-z-]+)"', source)) | set(form.RULE_OF_EXTENSION.values())
    reference = (Path(__file__).parents[2] / "docs/reference/certificate-rules.md").read_text("utf-8")
    assert set(re.findall(r"^\| `([a-z-]+)`", reference, re.MULTILINE)) == known
