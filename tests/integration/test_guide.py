"""What the guide tells people to do is what the use cases allow, in that order (J13)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from tests.support.desk import Desk, acquire, last_code, replace_pins
from tests.support.world import ADDRESS, ADMINISTRATOR, BANK, KEIRI01, PINS

from sekisho.domain.certificate import Ending, Reason
from sekisho.domain.errors import (
    CertificateExpired,
    CertificateReissued,
    ContractClosed,
    EmergencyStopped,
    MailedCodeNeeded,
    NotAccepted,
    Refusal,
    UserSuspended,
)
from sekisho.domain.guide import Do, Question, choices, next_question, plan_for
from sekisho.domain.request_forms import FormKind
from sekisho.domain.secret import SecretName
from sekisho.store import people, permits
from sekisho.store.audit import Actor
from sekisho.usecases.change_user import Change, end_all, permit_reissue
from sekisho.usecases.lift_suspension import lift_suspension
from sekisho.usecases.provisional_pins import reset_pins

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection
    from tests.support.world import World

    from sekisho.domain.certificate import IssuedCertificate
    from sekisho.usecases.provisional_pins import IssuedPins

OWN_PINS = ("jibun1aa", "jibun2bb")


def answers_of(plain: str) -> dict[Question, str]:
    """Read the answers in the order of their questions."""
    answers: dict[Question, str] = {}
    for answer in plain.split():
        question = next_question(answers)
        assert question is not None
        assert answer in choices(question, answers, BANK.policy)
        answers[question] = answer
    assert next_question(answers) is None
    return answers


@dataclass
class Company:
    """An administrator and keiri01 with their computers, who do what they are told."""

    bank: World
    desk: Desk
    user: IssuedCertificate
    slip: IssuedPins | None = None
    token: bytes = b""
    done: list[Do] = field(default_factory=list)

    def follow(self, plain: str) -> None:
        """Do each step of the plan for a situation."""
        doing: dict[Do, Callable[[], None]] = {
            Do.GO_TO_THE_BRANCH: self.reissue_at_the_branch,
            Do.ACQUIRE_ADMINISTRATOR: self.acquire_administrator,
            Do.LOG_ON_ADMINISTRATOR: self.log_on_administrator,
            Do.LIFT_SUSPENSION: self.lift,
            Do.REISSUE_USER: self.reissue,
            Do.RESET_USER_PINS: self.reset,
            Do.ACQUIRE_USER: self.acquire_user,
            Do.ACQUIRE_USER_WITH_CODE: self.acquire_user_with_code,
            Do.LOG_ON_USER: self.log_on_user,
            Do.LOG_ON_USER_AND_REPLACE_PINS: self.log_on_user_and_replace,
        }
        for step in plan_for(answers_of(plain)).steps:
            doing[step.do]()
            self.done.append(step.do)

    def reissue_at_the_branch(self) -> None:
        """Do what the branch does when it carries out a form for the administrator's certificate."""
        now = self.bank.clock[0]

        def carry_out(tx: Connection) -> None:
            administrator = people.find(tx, ADMINISTRATOR)
            assert administrator is not None
            end_all(tx, administrator, Ending.REISSUED, Reason.SUPERSEDED, Actor("test"), now)
            permits.grant(tx, administrator.id, now=now, expires_at=now + BANK.policy.acquisition_window)

        self.bank.db.write(carry_out)

    def acquire_administrator(self) -> None:
        self.desk.held = self.bank.acquire(ADMINISTRATOR)

    def log_on_administrator(self) -> None:
        assert self.bank.resume(self.desk.held, self.bank.log_on(self.desk.held))

    def lift(self) -> None:
        lift_suspension(self.bank.ports, bank=BANK, confirmation=self.desk.confirmation(), user_id="keiri01")

    def reissue(self) -> None:
        typed = self.desk.confirmation()
        change = Change(typed.session, typed.certificate_id, "keiri01", typed.confirmation_pin, ADDRESS)
        permit_reissue(self.bank.ports, bank=BANK, change=change)

    def reset(self) -> None:
        self.slip = reset_pins(self.bank.ports, bank=BANK, confirmation=self.desk.confirmation(), user_id="keiri01")
        assert self.slip.acquires

    def acquire_user(self) -> None:
        self.user = self.bank.acquire(KEIRI01)

    def acquire_user_with_code(self) -> None:
        assert self.slip is not None
        with pytest.raises(MailedCodeNeeded):
            acquire(self.bank, self.slip)
        self.user = acquire(self.bank, self.slip, last_code(self.bank))

    def log_on_user(self) -> None:
        self.token = self.bank.log_on(self.user)

    def log_on_user_and_replace(self) -> None:
        assert self.slip is not None
        replace_pins(self.bank, self.user, self.slip, *OWN_PINS)
        self.token = self.bank.log_on(self.user, OWN_PINS[0])


@pytest.fixture
def company(bank: World) -> Company:
    return Company(bank, Desk(bank), bank.acquire(KEIRI01))


def suspend(bank: World, certificate: IssuedCertificate) -> None:
    for _ in range(7):
        with pytest.raises(Refusal):
            bank.log_on(certificate, "wrong111")
    with pytest.raises(UserSuspended):
        bank.log_on(certificate)


@pytest.mark.parametrize("old", ["works", "broken", "lost"])
@pytest.mark.parametrize("locked", ["no", "user-suspended"])
@pytest.mark.parametrize("pins", ["known", "forgotten-user"])
def test_a_user_moves_without_the_branch(company: Company, old: str, locked: str, pins: str) -> None:
    before = company.user
    if locked == "user-suspended":
        suspend(company.bank, before)
    company.follow(f"user {old} valid {locked} {pins} at-hand")
    assert company.bank.resume(company.user, company.token)
    with pytest.raises((CertificateReissued, UserSuspended)):
        company.bank.log_on(before)


@pytest.mark.parametrize(
    "situation",
    [
        "administrator works valid no known at-hand",
        "administrator broken no known at-hand",
        "both works ended no known at-hand",
        "both broken no forgotten-user at-hand",
        "user works ended no known at-hand",
    ],
)
def test_the_rest_of_the_way_once_the_branch_has_reissued(company: Company, situation: str) -> None:
    before = company.desk.held
    if "ended" in situation:
        company.bank.later(days=366)
        with pytest.raises(CertificateExpired):
            company.bank.log_on(before)
    company.follow(situation)
    assert company.done[0] is Do.GO_TO_THE_BRANCH
    assert company.bank.resume(company.desk.held, company.bank.log_on(company.desk.held))
    with pytest.raises((CertificateReissued, CertificateExpired)):
        company.bank.log_on(before)
    if not situation.startswith("administrator"):
        assert company.bank.resume(company.user, company.token)


@pytest.mark.parametrize(
    ("column", "locked", "refusal", "form"),
    [
        ("closed_at", "contract-closed", ContractClosed, FormKind.LOCKOUT_LIFT),
        ("stopped_at", "stopped", EmergencyStopped, FormKind.EMERGENCY_STOP_LIFT),
    ],
)
def test_nobody_goes_round_the_branch_where_the_guide_sends_them_there(
    company: Company, column: str, locked: str, refusal: type[Refusal], form: FormKind
) -> None:
    company.bank.change(f"UPDATE people SET {column} = '2026-11-24 00:00:00+00:00' WHERE user_key = ''")  # noqa: S608
    plan = plan_for(answers_of(f"user works valid {locked} known at-hand"))
    assert plan.steps[0].forms == (form,)
    with pytest.raises(refusal):
        company.bank.log_on(company.desk.held)
    with pytest.raises(refusal):
        company.bank.log_on(company.user)
    with pytest.raises(NotAccepted):
        company.bank.acquire(KEIRI01)


def test_provisional_pins_come_after_the_reissue_since_it_would_end_them(company: Company) -> None:
    steps = [step.do for step in plan_for(answers_of("user works valid no forgotten-user at-hand")).steps]
    assert steps.index(Do.REISSUE_USER) < steps.index(Do.RESET_USER_PINS)
    slip = reset_pins(company.bank.ports, bank=BANK, confirmation=company.desk.confirmation(), user_id="keiri01")
    company.reissue()
    with pytest.raises(Refusal) as refused:
        acquire(company.bank, slip)
    assert refused.value.code == "provisional-pin-ended"
    assert slip.pins[SecretName.PIN] != PINS[KEIRI01][0]
