"""J9: seven wrong entries in a row shut the door, and guesses in parallel are judged as if one after another."""

from __future__ import annotations

import tempfile
import threading
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.world import ADDRESS, ADMINISTRATOR, BANK, KEIRI01, PINS, CheapPins, World, world

from sekisho.domain.errors import Refusal
from sekisho.usecases.log_on import enter_pin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sekisho.domain.certificate import IssuedCertificate
    from sekisho.domain.person import PersonId

LIMIT = 7


class Model:
    """The door of one user's PIN, in ten lines."""

    def __init__(self, misses: int = 0) -> None:
        self.misses = misses

    def enter(self, *, right: bool) -> str:
        if self.misses >= LIMIT:
            return "user-suspended"
        self.misses = 0 if right else self.misses + 1
        if right:
            return "in"
        return "user-suspended" if self.misses == LIMIT else "entry-wrong"


class PinsInStep(CheapPins):
    """All guesses of a batch have read what they are checked against before any of them is judged."""

    gate = threading.Barrier(1)

    def verify(self, verifier: str | None, entry: str) -> bool:
        right = super().verify(verifier, entry)
        self.gate.wait(10)
        return right


def guess(bank: World, certificate: IssuedCertificate, who: PersonId, *, right: bool) -> str:
    try:
        enter_pin(
            bank.ports,
            bank=BANK,
            kind=who.kind,
            der=certificate.der,
            pin=PINS[who][0] if right else "wrong111",
            address=ADDRESS,
        )
    except Refusal as refusal:
        return refusal.code
    return "in"


def guess_at_once(bank: World, certificate: IssuedCertificate, batch: Sequence[bool]) -> list[str]:
    """Make the guesses of a batch in parallel and return their outcomes, in the batch's order."""
    outcomes = [""] * len(batch)

    def one(index: int) -> None:
        outcomes[index] = guess(bank, certificate, KEIRI01, right=batch[index])

    # A door that is shut already is told before argon2, so only an open one brings all to the gate.
    open_before = bank.rows("SELECT count(*) AS n FROM people WHERE closed_at IS NOT NULL")[0].n == 0
    PinsInStep.gate = threading.Barrier(len(batch) if open_before else 1)
    threads = [threading.Thread(target=one, args=(index,)) for index in range(len(batch))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
@settings(max_examples=40, deadline=None)
@given(batches=st.lists(st.lists(st.booleans(), min_size=1, max_size=4), min_size=1, max_size=8))
def test_the_door_is_the_models_door(engine: str, batches: list[list[bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder, world(Path(folder), engine) as bank:
        certificate = bank.acquire(KEIRI01)
        bank.ports = replace(bank.ports, pins=PinsInStep(b"p" * 32))
        bank.change("UPDATE secrets SET misses = 0")
        possible = {0}
        for batch in batches:
            seen = guess_at_once(bank, certificate, batch)
            after = set()
            for start in possible:
                for order in permutations(range(len(batch))):
                    model = Model(start)
                    expected = {index: model.enter(right=batch[index]) for index in order}
                    if [expected[index] for index in range(len(batch))] == seen:
                        after.add(model.misses)
            assert after, f"no order of {batch} from {possible} misses explains {seen}"
            possible = after
        counted = bank.rows(
            "SELECT misses FROM secrets JOIN people ON people.id = person_id "
            "WHERE user_key = 'keiri01' AND secrets.name = 'pin'"
        )[0].misses
        assert counted in possible


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
@settings(max_examples=25, deadline=None)
@given(entries=st.lists(st.booleans(), max_size=30))
def test_the_administrators_misses_shut_the_contract_with_every_user(engine: str, entries: list[bool]) -> None:
    """A right PIN alone does not clear the count: the card's answer is the last step."""
    with tempfile.TemporaryDirectory() as folder, world(Path(folder), engine) as bank:
        administrator, user = bank.acquire(ADMINISTRATOR), bank.acquire(KEIRI01)
        misses = 0
        for right in entries:
            outcome = guess(bank, administrator, ADMINISTRATOR, right=right)
            if misses < LIMIT:
                misses += not right
                expected = "contract-closed" if misses == LIMIT else "in" if right else "entry-wrong"
            else:
                expected = "contract-closed"
            assert outcome == expected
        assert guess(bank, user, KEIRI01, right=True) == ("in" if misses < LIMIT else "contract-closed")
