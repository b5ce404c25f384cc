from __future__ import annotations

import hashlib
from typing import Any

import pytest
from argon2 import PasswordHasher, extract_parameters

from sekisho.vault.pins import PinHasher
from sekisho.vault.seal import CardSeal

TABLE = {str(position): "7" for position in range(1, 11)}


def test_pins_are_hashed_with_the_parameters_of_the_rules() -> None:
    parameters = extract_parameters(PinHasher(b"p" * 32).hash("abc123"))
    assert parameters.type.name == "ID"
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (19 * 1024, 2, 1)


def test_the_same_pin_in_full_width_is_right_and_case_counts() -> None:
    pins = PinHasher(b"p" * 32)
    verifier = pins.hash("abc123")
    assert pins.verify(verifier, "ａｂｃ１２３")
    assert not pins.verify(verifier, "ABC123")


def test_without_the_pepper_a_verifier_is_worth_nothing() -> None:
    verifier = PinHasher(b"p" * 32).hash("abc123")
    assert not PinHasher(b"q" * 32).verify(verifier, "abc123")


def test_nobodys_pin_is_never_right() -> None:
    assert not PinHasher(b"p" * 32).verify(None, "")


def test_a_damaged_verifier_is_a_bug_and_not_a_wrong_pin() -> None:
    with pytest.raises(RuntimeError):
        PinHasher(b"p" * 32).verify("plain", "plain")


def test_a_quick_verifier_is_hardened_without_its_pin_and_proves_the_same() -> None:
    pins = PinHasher(b"p" * 32)
    quick = pins.quick("k4mn8xw2pq")
    hardened = pins.harden(quick)
    assert quick.startswith("~")
    assert "argon2" not in quick
    parameters = extract_parameters(hardened[hardened.index("$") :])
    assert (parameters.memory_cost, parameters.time_cost) == (19 * 1024, 2)
    for verifier in (quick, hardened):
        assert pins.verify(verifier, "ｋ４ｍｎ８ｘｗ２ｐｑ")
        assert not pins.verify(verifier, "k4mn8xw2pr")
        assert not PinHasher(b"q" * 32).verify(verifier, "k4mn8xw2pq")


def test_equal_pins_have_different_quick_verifiers() -> None:
    pins = PinHasher(b"p" * 32)
    assert pins.quick("k4mn8xw2pq") != pins.quick("k4mn8xw2pq")


def test_each_kind_of_verifier_costs_the_same_to_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """One argon2id and one PBKDF2, whether the entry is right or wrong, and of nobody too."""
    pins = PinHasher(b"p" * 32)
    chosen, quick = pins.hash("abc123"), pins.quick("abc123")
    hardened = pins.harden(quick)
    done: list[str] = []

    def counted(name: str, of: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            done.append(name)
            return of(*args, **kwargs)

        return call

    monkeypatch.setattr(hashlib, "pbkdf2_hmac", counted("pbkdf2", hashlib.pbkdf2_hmac))
    monkeypatch.setattr(PasswordHasher, "verify", counted("argon2", PasswordHasher.verify))
    for verifier in (chosen, quick, hardened, None):
        for entry in ("abc123", "abc124", ""):
            done.clear()
            pins.verify(verifier, entry)
            assert done == ["pbkdf2", "argon2"], (verifier, entry)


@pytest.mark.parametrize("damaged", ["~", "~.", "~AAAA.!", "=$argon2id$", "=AAAA", "~" + "é.é"])
def test_a_damaged_verifier_of_a_drawn_pin_is_a_bug_too(damaged: str) -> None:
    with pytest.raises(RuntimeError):
        PinHasher(b"p" * 32).verify(damaged, "plain")


def test_a_short_pepper_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        PinHasher(b"short")


def test_a_card_table_opens_for_its_contract_alone() -> None:
    seal = CardSeal(b"k" * 32)
    sealed = seal.seal(TABLE, "12345678901")
    assert "7" * 10 not in sealed
    assert seal.open(sealed, "12345678901") == TABLE
    for other, owner in ((seal, "12345678902"), (CardSeal(b"l" * 32), "12345678901")):
        with pytest.raises(RuntimeError):
            other.open(sealed, owner)


def test_sealing_twice_gives_different_bytes() -> None:
    seal = CardSeal(b"k" * 32)
    assert seal.seal(TABLE, "1") != seal.seal(TABLE, "1")
