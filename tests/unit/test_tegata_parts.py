"""Tegata's small parts: stores' names, links, what servers may say, and requests for certificates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from hypothesis import given
from hypothesis import strategies as st

from tegata import bank, csr, identity, link
from tegata.errors import NotYet, Refused, ServerTrouble, StoreTrouble, Unfinished
from tegata.stores import spec
from tegata.web import Answer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nss:/some/folder", spec.Spec("nss", "/some/folder")),
        ("pkcs11:/lib/a.so", spec.Spec("pkcs11", "/lib/a.so")),
        ("pkcs11:/lib/a.so:My Token: the second", spec.Spec("pkcs11", "/lib/a.so", "My Token: the second")),
    ],
)
def test_stores_by_name(text: str, expected: spec.Spec) -> None:
    assert spec.parse(text) == expected
    assert spec.parse(str(expected)) == expected


@pytest.mark.parametrize("text", ["", "nss", "nss:", "pkcs11", "tpm:/dev/tpm0", "nss;/folder"])
def test_stores_that_there_are_not(text: str) -> None:
    with pytest.raises(StoreTrouble) as told:
        spec.parse(text)
    assert told.value.code == "store-unknown"


@pytest.mark.parametrize("text", ["windows", "macos"])
def test_stores_that_are_not_here_yet(text: str) -> None:
    with pytest.raises(StoreTrouble) as told:
        spec.parse(text)
    assert told.value.code == "store-not-here-yet"


def test_a_link_says_where_and_for_whom() -> None:
    text = "tegata:acquire?url=https%3A//localhost%3A8440&bank=9990&for=user"
    assert link.parse(text) == link.Link("https://localhost:8440", "9990", "user")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://localhost:8440",
        "tegata:renew?url=https%3A//a&bank=9990&for=user",
        "tegata:acquire?url=http%3A//a&bank=9990&for=user",
        "tegata:acquire?url=https%3A//a%3Fx&bank=9990&for=user",
        "tegata:acquire?url=https%3A//name:pw@a&bank=9990&for=user",
        "tegata:acquire?url=https%3A//a/path&bank=9990&for=user",
        "tegata:acquire?url=https%3A//a&bank=99901&for=user",
        "tegata:acquire?url=https%3A//a&bank=9990&for=root",
        "tegata:acquire?url=https%3A//a&bank=9990&for=user&store=nss%3A/x",
        "tegata:acquire?url=https%3A//a&url=https%3A//b&bank=9990&for=user",
        "tegata://acquire?url=https%3A//a&bank=9990&for=user",
        "tegata:acquire?url=https%3A//" + "a" * 3000 + "&bank=9990&for=user",
    ],
)
def test_links_that_are_none(text: str) -> None:
    with pytest.raises(Unfinished) as told:
        link.parse(text)
    assert told.value.code == "link-not-usable"


def test_what_a_person_types_is_forgiven() -> None:
    person = identity.typed("９９９０", " １２３４-5678901 ", "ｋｅｉｒｉ０１")
    assert person == identity.Person("9990", "12345678901", "keiri01")
    assert person.est_name == "12345678901/keiri01"
    assert identity.typed("9990", "12345678901", "").kind == "administrator"


@given(st.text(max_size=2000))
def test_a_servers_words_cannot_move_the_cursor_or_hide_anything(text: str) -> None:
    shown = bank.safe(text)
    assert len(shown) <= 600
    assert not {c for c in shown if not c.isprintable() and c not in "\u3000\u2028\u2029" and c.strip()}
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def retry_after(value: str | None) -> float:
    headers = {} if value is None else {"retry-after": value}
    told = bank._said_no(Answer(202, headers, b""), "https://a")
    assert isinstance(told, NotYet)
    return told.after_s


def test_retry_after_is_a_number_or_a_date_and_stays_sensible() -> None:
    assert retry_after("7") == 7
    assert retry_after("0") == 1
    assert retry_after("999999999") == 600
    assert retry_after("soon") == 30
    assert retry_after(None) == 30
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert 50 < retry_after(in_a_minute) <= 60


@pytest.mark.parametrize(
    ("status", "headers", "body", "expected"),
    [
        (429, {"retry-after": "3"}, b"", "busy"),
        (503, {"retry-after": "3"}, b"", "busy"),
        (401, {}, b"who are you", "refused"),
        (409, {"x-sekisho-code": "permit-spent"}, b"permit-spent: spent", "refused"),
        (503, {"x-sekisho-code": "out-of-hours", "retry-after": "9000"}, b"out-of-hours: closed", "refused"),
        (503, {"x-sekisho-code": "service-unavailable", "retry-after": "30"}, b"", "busy"),
        (409, {"x-sekisho-code": "Not A Code\x1b"}, b"", "answer-not-understood"),
        (500, {}, b"", "answer-not-understood"),
        (302, {"location": "https://elsewhere"}, b"", "answer-not-understood"),
    ],
)
def test_answers_that_bring_nothing(status: int, headers: dict[str, str], body: bytes, expected: str) -> None:
    with pytest.raises((Refused, NotYet, ServerTrouble)) as told:
        raise bank._said_no(Answer(status, headers, body), "https://a")
    assert told.value.code == expected


class Key:
    """A key that is in no store, for what only needs a signature."""

    def __init__(self) -> None:
        self._private = ec.generate_private_key(ec.SECP256R1())
        self.id = b"id"
        self.public_key = self._private.public_key()

    def sign_digest(self, digest: bytes) -> bytes:
        return self._private.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))


def test_a_request_is_signed_where_the_key_is_and_the_key_gives_nothing_else() -> None:
    key = Key()
    request = x509.load_der_x509_csr(csr.request(key, "12345678901keiri019990"))
    assert request.is_signature_valid
    assert request.public_key() == key.public_key
    inside = csr._InStore(key)
    for taken in (inside.private_numbers, inside.exchange, inside.private_bytes):
        with pytest.raises(TypeError, match="does not leave"):
            taken()
