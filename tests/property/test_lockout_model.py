"""J9 over long histories: whatever people enter, lift, reissue and change, each door is the model's door.

Every secret has its count: the user's PIN and confirmation PIN, the
administrator's PIN, card and confirmation PIN, and the open permit. Entries
in parallel may be judged in any order, so what is known of the system is a
set of models: those that explain all that was seen.
"""

from __future__ import annotations

import tempfile
import threading
from copy import deepcopy
from dataclasses import dataclass, field, replace
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from tests.support.world import ADDRESS, ADMINISTRATOR, BANK, CARD, KEIRI01, PINS, CheapPins, new_csr, world

from sekisho.domain.certificate import KeyHeld
from sekisho.domain.errors import Refusal
from sekisho.domain.secret import SecretName
from sekisho.usecases.acquire_certificate import Claim, acquire_certificate
from sekisho.usecases.change_pins import PinEntries, change_pins
from sekisho.usecases.change_user import permit_reissues
from sekisho.usecases.confirm import Confirmation
from sekisho.usecases.lift_suspension import lift_suspension
from sekisho.usecases.log_on import answer_card, enter_pin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sekisho.domain.session import Session

LIMIT = 7
WRONG = "wrong111"
CLOSED = {"user": "user-suspended", "administrator": "contract-closed"}


@dataclass
class Model:
    """The doors: misses by secret, whose door is shut, whether a permit is open and a certificate is held."""

    misses: dict[str, int] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    limit: int = LIMIT
    guesses: int = 0
    permit: bool = False
    held: bool = True

    def shut(self, whose: str) -> str | None:
        return next((CLOSED[one] for one in ("administrator", whose) if one in self.closed), None)

    def enter(self, whose: str, secret: str, *, right: bool) -> str | None:
        """Return what is refused, or None for a right entry, which counts nothing and clears nothing yet."""
        if right or self.shut(whose):
            return self.shut(whose)
        self.misses[secret] = self.misses.get(secret, 0) + 1
        if self.misses[secret] >= self.limit:
            self.closed.add(whose)
        return self.shut(whose) or "entry-wrong"

    def clear(self, *secrets: str) -> None:
        for secret in secrets:
            self.misses.pop(secret, None)


class PinsInStep(CheapPins):
    """All guesses of a batch have read what they are checked against before any of them is judged."""

    gate = threading.Barrier(1)

    def verify(self, verifier: str | None, entry: str) -> bool:
        right = super().verify(verifier, entry)
        self.gate.wait(20)
        return right


def told(act: Callable[[], object]) -> str | None:
    try:
        act()
    except Refusal as refusal:
        return refusal.code
    return None


class Doors(RuleBasedStateMachine):
    """The system beside the models."""

    engine = "sqlite"
    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.opened = world(Path(self.folder.name), self.engine)
        self.bank = self.opened.__enter__()
        self.administrator, self.user = self.bank.acquire(ADMINISTRATOR), self.bank.acquire(KEIRI01)
        self.desk = self.bank.resume(self.administrator, self.bank.log_on(self.administrator)).session
        self.seat = self.bank.resume(self.user, self.bank.log_on(self.user)).session
        self.bank.ports = replace(self.bank.ports, pins=PinsInStep(b"p" * 32))
        PinsInStep.gate = threading.Barrier(1)
        self.pin, self.number = PINS[KEIRI01][0], 0
        self.as_now = BANK
        self.models = [Model()]

    def teardown(self) -> None:
        self.opened.__exit__(None, None, None)
        self.folder.cleanup()

    def open_again(self, session: Session) -> Session:
        """Return a session that is open, whatever has ended it: doors and counts are looked at here, not sessions."""
        self.bank.change(f'UPDATE sessions SET ended_at = NULL, "end" = NULL WHERE id = {session.id}')  # noqa: S608 - a number
        return session

    def agree(self, seen: object, judge: Callable[[Model], object]) -> None:
        """Keep the models that say the same as the system; there has to be one."""
        type(self).steps += 1
        after = [(model, judge(model)) for model in map(deepcopy, self.models)]
        kept = [model for model, expected in after if expected == seen]
        assert kept, f"the system says {seen}, the models {[expected for _, expected in after]}"
        self.models = [model for n, model in enumerate(kept) if model not in kept[:n]]

    # -------------------------------------------------------------------------------- what people do

    def guess(self, *, right: bool) -> str | None:
        pin = self.pin if right else WRONG
        entered: Any = {"bank": self.as_now, "kind": KEIRI01.kind, "der": self.user.der, "pin": pin, "address": ADDRESS}
        return told(lambda: enter_pin(self.bank.ports, **entered))

    @rule(right=st.booleans())
    def user_logs_on(self, right: bool) -> None:  # noqa: FBT001 - hypothesis calls it
        self.agree(self.guess(right=right), lambda model: logs_on(model, right=right))

    @rule(batch=st.lists(st.booleans(), min_size=2, max_size=4))
    def users_guess_at_once(self, batch: list[bool]) -> None:
        outcomes: list[str | None] = [None] * len(batch)

        def one(index: int) -> None:
            outcomes[index] = self.guess(right=batch[index])

        # A door that is shut already is told before argon2, so only an open one brings all to the gate.
        shut = self.bank.rows("SELECT count(*) AS n FROM people WHERE closed_at IS NOT NULL")[0].n > 0
        PinsInStep.gate = threading.Barrier(1 if shut else len(batch))
        threads = [threading.Thread(target=one, args=(index,)) for index in range(len(batch))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        PinsInStep.gate = threading.Barrier(1)
        self.models = [after for model in self.models for after in explanations(model, batch, outcomes)]
        assert self.models, f"no order of {batch} explains {outcomes}"
        self.models = [model for n, model in enumerate(self.models) if model not in self.models[:n]]
        type(self).steps += len(batch)

    @rule(pin=st.booleans(), confirmation=st.booleans())
    def user_changes_the_pin(self, pin: bool, confirmation: bool) -> None:  # noqa: FBT001 - the same
        self.number += 1
        new = f"shinki{self.number}"
        present = {
            SecretName.PIN: self.pin if pin else WRONG,
            SecretName.CONFIRMATION_PIN: PINS[KEIRI01][1] if confirmation else WRONG,
        }
        chosen = {SecretName.PIN: new, SecretName.CONFIRMATION_PIN: ""}
        seat = self.open_again(self.seat)
        asked: Any = {"bank": self.as_now, "session": seat, "certificate_id": seat.certificate_id}
        entries = PinEntries(present, chosen, chosen)
        seen = told(lambda: change_pins(self.bank.ports, **asked, entries=entries, address=ADDRESS))
        self.pin = self.pin if seen else new
        self.agree(seen, lambda model: changes(model, pin=pin, confirmation=confirmation))

    @rule(pin=st.booleans(), card=st.booleans())
    def administrator_logs_on(self, pin: bool, card: bool) -> None:  # noqa: FBT001 - the same
        def enter() -> None:
            held, ports = self.administrator, self.bank.ports
            typed = PINS[ADMINISTRATOR][0] if pin else WRONG
            opened = enter_pin(ports, bank=self.as_now, kind=held.kind, der=held.der, pin=typed, address=ADDRESS)
            session = self.bank.resume(held, opened.token).session
            digits = [CARD[str(position)] for position in session.positions]
            digits[0] = digits[0] if card else str((int(digits[0]) + 1) % 10)
            answer_card(ports, bank=self.as_now, certificate=held, session=session, digits=digits, address=ADDRESS)

        self.agree(told(enter), lambda model: logs_on_with_card(model, pin=pin, card=card))

    def confirmation(self, *, right: bool) -> Confirmation:
        typed = PINS[ADMINISTRATOR][1] if right else WRONG
        return Confirmation(self.open_again(self.desk), self.desk.certificate_id, typed, ADDRESS)

    @rule(right=st.booleans())
    def administrator_lifts(self, right: bool) -> None:  # noqa: FBT001 - the same
        decided: Any = {"bank": self.as_now, "confirmation": self.confirmation(right=right), "user_id": "keiri01"}
        seen = told(lambda: lift_suspension(self.bank.ports, **decided))
        self.agree(seen, lambda model: lifts(model, right=right))

    @rule(right=st.booleans())
    def administrator_reissues(self, right: bool) -> None:  # noqa: FBT001 - the same
        decided: Any = {"bank": self.as_now, "confirmation": self.confirmation(right=right), "user_ids": ["keiri01"]}
        seen = told(lambda: permit_reissues(self.bank.ports, **decided))
        self.agree(seen, lambda model: reissues(model, right=right))

    @rule(right=st.booleans())
    def somebody_acquires(self, right: bool) -> None:  # noqa: FBT001 - the same
        claim = Claim(KEIRI01.contract_id, "keiri01", self.pin if right else WRONG, PINS[KEIRI01][1])
        asked: Any = {"bank": self.as_now, "claim": claim, "csr": new_csr(), "held": KeyHeld.FILE, "address": ADDRESS}
        got: list[Any] = []
        seen = told(lambda: got.append(acquire_certificate(self.bank.ports, **asked)))
        self.user = got[0] if got else self.user
        self.agree("permit" if seen in PERMIT else seen, lambda model: acquires(model, right=right))

    @rule(limit=st.integers(3, 10))
    def bank_changes_the_limit(self, limit: int) -> None:
        """No count changes by it, and no door: whoever is at the new limit goes on with the next entry."""
        self.as_now = replace(BANK, policy=replace(BANK.policy, misses_before_closed=limit))
        for model in self.models:
            model.limit = limit

    @rule()
    def branch_lifts(self) -> None:
        """Let everybody in again, as the branch will."""
        self.bank.change("UPDATE people SET closed_at = NULL", "UPDATE secrets SET misses = 0")
        for model in self.models:
            model.closed, model.misses = set(), {k: n for k, n in model.misses.items() if k == "permit"}

    @invariant()
    def counts_are_the_models(self) -> None:
        rows = self.bank.rows(
            "SELECT user_key, s.name, misses FROM secrets s JOIN people ON people.id = person_id "
            "WHERE user_key IN ('', 'keiri01') AND misses > 0"
        )
        seen = {NAMES[row.user_key, row.name]: row.misses for row in rows}
        counted = [{k: n for k, n in model.misses.items() if k != "permit"} for model in self.models]
        assert seen in counted
        (person,) = self.bank.rows("SELECT guesses FROM people WHERE user_key = 'keiri01'")
        assert person.guesses in {model.guesses for model in self.models}


PERMIT = {"permit-spent", "permit-withdrawn", "permit-missing"}
NAMES = {
    ("keiri01", "pin"): "pin",
    ("keiri01", "confirmation-pin"): "confirmation",
    ("", "pin"): "contract pin",
    ("", "card"): "card",
    ("", "confirmation-pin"): "contract confirmation",
}


def logs_on(model: Model, *, right: bool) -> str | None:
    """Say what the user's door says; a certificate that was reissued is told before any secret is asked."""
    if not model.held:
        return "certificate-reissued"
    refused = model.enter("user", "pin", right=right)
    if refused is None:
        model.clear("pin")
    return refused


def explanations(model: Model, batch: Sequence[bool], outcomes: Sequence[str | None]) -> list[Model]:
    """Return the models that one after another of these guesses leaves, in every order that gives the outcomes."""
    left = []
    for order in permutations(range(len(batch))):
        after = deepcopy(model)
        expected = {index: logs_on(after, right=batch[index]) for index in order}
        if [expected[index] for index in range(len(batch))] == list(outcomes):
            left.append(after)
    return left


def changes(model: Model, *, pin: bool, confirmation: bool) -> str | None:
    told_first = None
    for secret, right in (("pin", pin), ("confirmation", confirmation)):
        refused = model.enter("user", secret, right=right)
        told_first = told_first or refused
        if model.shut("user"):
            return model.shut("user")
    if told_first is None:
        model.clear("pin", "confirmation")
    return told_first


def logs_on_with_card(model: Model, *, pin: bool, card: bool) -> str | None:
    refused = model.enter("administrator", "contract pin", right=pin)
    refused = refused or model.enter("administrator", "card", right=card)
    if refused is None:
        model.clear("contract pin", "card")
    return refused


def lifts(model: Model, *, right: bool) -> str | None:
    refused = model.enter("administrator", "contract confirmation", right=right)
    if refused is None and "user" not in model.closed:
        return "user-not-suspended"  # undone, so the count stays as it was
    if refused is None:
        model.closed.discard("user")
        model.clear("contract confirmation", "pin", "confirmation")
    return refused


def reissues(model: Model, *, right: bool) -> str | None:
    refused = model.enter("administrator", "contract confirmation", right=right)
    if refused is None:
        model.clear("contract confirmation", "permit")
        model.permit, model.held = True, False
    return refused


def acquires(model: Model, *, right: bool) -> str | None:
    """Say what is said without a certificate: misses count against the open permit, and never against the person.

    Without one they are guesses, after which whoever knows the PINs is told no more than anybody.
    """
    if right and model.shut("user") is None:
        if not model.permit:
            return "permit" if model.guesses < model.limit else "not-accepted"
        model.permit, model.held = False, True
        return None
    if not right and not model.permit:
        model.guesses += model.guesses < model.limit
    elif not right:
        model.misses["permit"] = model.misses.get("permit", 0) + 1
        model.permit = model.misses["permit"] < model.limit
    return "not-accepted"


def run(engine: str, examples: int, steps: int) -> int:
    class Kind(Doors):
        steps = 0

    Kind.engine = engine
    run_state_machine_as_test(
        Kind,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    return Kind.steps


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_every_door_is_the_models_door(engine: str) -> None:
    assert run(engine, examples=6, steps=40) > 100


@pytest.mark.soak
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_every_door_is_the_models_door_for_long(engine: str) -> None:
    steps = run(engine, examples=150, steps=120)
    print(f"{steps} steps on {engine}")  # noqa: T201 - what a soak reports
    assert steps > 10_000
