"""What the guide tells people to do is what the use cases allow, in that order, at the branch as on screen (J13)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from tests.support.desk import acquire, last_code, replace_pins
from tests.support.staff import Office
from tests.support.world import ADDRESS, ADMINISTRATOR, BANK, CONTRACT, KEIRI01, PINS, code_now

from sekisho.domain.errors import (
    CertificateExpired,
    CertificateReissued,
    CertificateRevoked,
    ContractClosed,
    EmergencyStopped,
    FormWithoutEffect,
    MailedCodeNeeded,
    NotAccepted,
    ProvisionalPinEnded,
    Refusal,
    UserSuspended,
)
from sekisho.domain.guide import Do, Question, choices, next_question, plan_for
from sekisho.domain.request_forms import FormKind, Step
from sekisho.domain.secret import SecretName
from sekisho.domain.staff import Role
from sekisho.store.audit import Actor
from sekisho.usecases.carry_out_form import carry_out_form
from sekisho.usecases.change_user import Change, permit_reissue
from sekisho.usecases.confirm import Confirmation
from sekisho.usecases.emergency_stop import Demand, stop_contract
from sekisho.usecases.file_form import file_at_counter, file_on_screen
from sekisho.usecases.interim_step import enter_interim, interim_app, take_interim_app
from sekisho.usecases.lift_suspension import lift_suspension
from sekisho.usecases.log_on import enter_pin
from sekisho.usecases.manage_second_steps import mark_of
from sekisho.usecases.move_form import move_form
from sekisho.usecases.provisional_pins import reset_pins
from sekisho.usecases.suspend_certificate import suspend_certificate

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.world import World

    from sekisho.domain.certificate import IssuedCertificate
    from sekisho.domain.guide import GuideStep
    from sekisho.usecases.enter_console import AtWork
    from sekisho.usecases.provisional_pins import IssuedPins

OWN_PINS = {ADMINISTRATOR: ("jibun1aa", "jibun2bb"), KEIRI01: ("jibun3cc", "jibun4dd")}


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
class Branch:
    """The bank's branch, which takes forms through all of their steps."""

    bank: World
    clerk: AtWork = field(init=False)
    approver: AtWork = field(init=False)

    def __post_init__(self) -> None:
        office = Office(self.bank)
        self.clerk = office.add("kakari01", Role.CLERK).at_work()
        self.approver = office.add("kenin01", Role.APPROVER).at_work()

    def carry_out(self, kind: FormKind, user_id: str = "") -> IssuedPins | None:
        ports = self.bank.ports
        number = file_at_counter(
            ports, at_work=self.clerk, contract_id=CONTRACT, kind=kind.value, user_id=user_id, detail={}
        )
        move_form(ports, at_work=self.clerk, number=number, step=Step.CHECK_SEAL)
        move_form(ports, at_work=self.approver, number=number, step=Step.APPROVE)
        return carry_out_form(ports, bank=self.bank.bank, at_work=self.clerk, number=number)

    def carry_out_filed(self, number: str) -> None:
        move_form(self.bank.ports, at_work=self.clerk, number=number, step=Step.RECEIVE)
        move_form(self.bank.ports, at_work=self.approver, number=number, step=Step.APPROVE)
        carry_out_form(self.bank.ports, bank=self.bank.bank, at_work=self.clerk, number=number)


@dataclass
class Company:
    """An administrator and keiri01 with their computers, who do what they are told; `lost` is whose computer is."""

    bank: World
    administrator: IssuedCertificate
    user: IssuedCertificate
    lost: str = ""
    pins: tuple[str, str] = PINS[ADMINISTRATOR]
    token: bytes = b""
    slips: dict[str, IssuedPins] = field(default_factory=dict)
    code: str = ""

    def follow(self, plain: str) -> list[Do]:
        """Do each step of the plan for a situation."""
        answers = answers_of(plain)
        self.lost = "keiri01" if answers[Question.WHOSE] == "user" else ""
        doing: dict[Do, Callable[[GuideStep], None]] = {
            Do.STOP_BY_TELEPHONE: self.telephone,
            Do.FILE_ON_SCREEN: self.file_on_screen,
            Do.GO_TO_THE_BRANCH: self.go_to_the_branch,
            Do.LOG_ON_WITH_INTERIM_CODE: self.log_on_with_interim_code,
            Do.ACQUIRE_ADMINISTRATOR: self.acquire_administrator,
            Do.ACQUIRE_ADMINISTRATOR_WITH_CODE: self.acquire_administrator_with_code,
            Do.LOG_ON_ADMINISTRATOR: self.log_on_administrator,
            Do.REPLACE_ADMINISTRATOR_PINS: self.replace_administrators,
            Do.LIFT_SUSPENSION: self.lift,
            Do.REISSUE_USER: self.reissue,
            Do.RESET_USER_PINS: self.reset,
            Do.ACQUIRE_USER: self.acquire_user,
            Do.ACQUIRE_USER_WITH_CODE: self.acquire_user_with_code,
            Do.LOG_ON_USER: self.log_on_user,
            Do.LOG_ON_USER_AND_REPLACE_PINS: self.log_on_user_and_replace,
        }
        steps = plan_for(answers).steps
        for step in steps:
            doing[step.do](step)
        return [step.do for step in steps]

    def telephone(self, step: GuideStep) -> None:
        held = self.user if self.lost else self.administrator
        now = self.bank.clock[0]
        self.bank.db.write(lambda tx: suspend_certificate(tx, held, actor=Actor("operator:center"), now=now))
        with pytest.raises(Refusal):
            self.bank.log_on(held)
        for form in step.forms:
            self.branch().carry_out(form, self.lost)

    def file_on_screen(self, _step: GuideStep) -> None:
        """File the reissue with the certificate that it ends, and have the branch do its part."""
        kind = FormKind.CERTIFICATE_REISSUE
        number = file_on_screen(
            self.bank.ports, bank=BANK, confirmation=self.confirmation(), kind=kind.value, user_id="", detail={}
        )
        self.branch().carry_out_filed(number)

    def go_to_the_branch(self, step: GuideStep) -> None:
        """Have the forms carried out in the order in which the guide names them."""
        branch = self.branch()
        for form in step.forms:
            issued = branch.carry_out(form)
            if issued is not None and SecretName.INTERIM in issued.pins:
                self.code = issued.pins[SecretName.INTERIM]
            elif issued is not None:
                self.slips[""] = issued

    def log_on_with_interim_code(self, _step: GuideStep) -> None:
        bank, slip = self.bank, self.slips.get("")
        opened = enter_pin(
            bank.ports,
            bank=BANK,
            kind=self.administrator.kind,
            der=self.administrator.der,
            pin=self.pins[0] if slip is None else slip.pins[SecretName.PIN],
            address=ADDRESS,
        )
        current = bank.resume(self.administrator, opened.token)
        enter_interim(bank.ports, bank=BANK, current=current, code=self.code, address=ADDRESS)
        bank.app = interim_app(bank.ports, current=current)
        digits = code_now(bank.app, bank.clock[0])
        logged_on = take_interim_app(
            bank.ports, bank=BANK, current=current, code=digits, shown=mark_of(bank.app), address=ADDRESS
        )
        assert bank.resume(self.administrator, logged_on.token)

    def branch(self) -> Branch:
        if not hasattr(self, "_branch"):
            self._branch = Branch(self.bank)
        return self._branch

    def acquire_administrator(self, _step: GuideStep) -> None:
        self.administrator = self.bank.acquire(ADMINISTRATOR)

    def acquire_administrator_with_code(self, _step: GuideStep) -> None:
        self.administrator = self._with_code(self.slips[""])

    def log_on_administrator(self, _step: GuideStep) -> None:
        slip = self.slips.get("")
        pin = self.pins[0] if slip is None else slip.pins[SecretName.PIN]
        assert self.bank.resume(self.administrator, self.bank.log_on(self.administrator, pin))

    def replace_administrators(self, _step: GuideStep) -> None:
        self.pins = OWN_PINS[ADMINISTRATOR]
        replace_pins(self.bank, self.administrator, self.slips[""], *self.pins)

    def confirmation(self) -> Confirmation:
        held = self.administrator
        current = self.bank.resume(held, self.bank.log_on(held, self.pins[0]))
        return Confirmation(current.session, held.id, self.pins[1], ADDRESS)

    def lift(self, _step: GuideStep) -> None:
        lift_suspension(self.bank.ports, bank=BANK, confirmation=self.confirmation(), user_id="keiri01")

    def reissue(self, _step: GuideStep | None = None) -> None:
        typed = self.confirmation()
        change = Change(typed.session, typed.certificate_id, "keiri01", typed.confirmation_pin, ADDRESS)
        permit_reissue(self.bank.ports, bank=BANK, change=change)

    def reset(self, _step: GuideStep | None = None) -> None:
        slip = reset_pins(self.bank.ports, bank=BANK, confirmation=self.confirmation(), user_id="keiri01")
        self.slips["keiri01"] = slip

    def acquire_user(self, _step: GuideStep) -> None:
        self.user = self.bank.acquire(KEIRI01)

    def acquire_user_with_code(self, _step: GuideStep) -> None:
        assert self.slips["keiri01"].acquires
        self.user = self._with_code(self.slips["keiri01"])

    def log_on_user(self, _step: GuideStep) -> None:
        self.token = self.bank.log_on(self.user)

    def log_on_user_and_replace(self, _step: GuideStep) -> None:
        replace_pins(self.bank, self.user, self.slips["keiri01"], *OWN_PINS[KEIRI01])
        self.token = self.bank.log_on(self.user, OWN_PINS[KEIRI01][0])

    def _with_code(self, slip: IssuedPins) -> IssuedCertificate:
        with pytest.raises(MailedCodeNeeded):
            acquire(self.bank, slip)
        return acquire(self.bank, slip, last_code(self.bank))


@pytest.fixture
def company(bank: World) -> Company:
    return Company(bank, bank.acquire(ADMINISTRATOR), bank.acquire(KEIRI01))


def shut_out(bank: World, certificate: IssuedCertificate, told: type[Refusal]) -> None:
    for _ in range(7):
        with pytest.raises(Refusal):
            bank.log_on(certificate, "wrong111")
    with pytest.raises(told):
        bank.log_on(certificate)


def bring_about(company: Company, plain: str) -> None:
    """Make the company what the answers say that it is."""
    bank, administrator = company.bank, company.administrator
    if "ended" in plain.split():
        bank.later(days=366)
        with pytest.raises(CertificateExpired):
            bank.log_on(administrator)
    if "user-suspended" in plain:
        shut_out(bank, company.user, UserSuspended)
    if "contract-closed" in plain:
        shut_out(bank, administrator, ContractClosed)
    if "stopped" in plain:
        current = bank.resume(administrator, bank.log_on(administrator))
        stop_contract(bank.ports, bank=BANK, demand=Demand(current.session, administrator.id, ADDRESS))


@pytest.mark.parametrize(
    "situation",
    [
        "user works valid no known at-hand",
        "user broken valid no forgotten-user at-hand",
        "user lost valid user-suspended known at-hand",
        "user works valid user-suspended forgotten-user at-hand",
    ],
)
def test_a_user_moves_without_the_branch(company: Company, situation: str) -> None:
    before = company.user
    bring_about(company, situation)
    done = company.follow(situation)
    assert Do.GO_TO_THE_BRANCH not in done
    assert company.bank.resume(company.user, company.token)
    with pytest.raises(CertificateReissued):
        company.bank.log_on(before)


@pytest.mark.parametrize(
    "situation",
    [
        "administrator works valid no known at-hand",
        "administrator works ended no known at-hand",
        "both works valid no forgotten-user at-hand",
        "administrator broken no forgotten-administrator at-hand",
        "user works valid no known lost",
        "both broken no forgotten-both lost",
        "administrator lost stopped known lost",
        "administrator lost no known at-hand",
        "administrator works valid contract-closed known at-hand",
        "administrator broken stopped forgotten-administrator at-hand",
        "both broken no forgotten-both at-hand",
        "both lost contract-closed known at-hand",
        "user works ended no known at-hand",
        "user works valid contract-closed forgotten-administrator at-hand",
        "user broken valid stopped known at-hand",
        "user lost ended no forgotten-user at-hand",
    ],
)
def test_whoever_has_to_go_to_the_branch_gets_in_again(company: Company, situation: str) -> None:
    administrator, user = company.administrator, company.user
    bring_about(company, situation)
    done = company.follow(situation)
    assert done[0] in {Do.FILE_ON_SCREEN, Do.STOP_BY_TELEPHONE, Do.GO_TO_THE_BRANCH}
    assert company.confirmation()
    if Do.ACQUIRE_ADMINISTRATOR in done or Do.ACQUIRE_ADMINISTRATOR_WITH_CODE in done:
        with pytest.raises((CertificateReissued, CertificateRevoked, CertificateExpired)):
            company.bank.log_on(administrator)
    if Do.REISSUE_USER in done:
        assert company.bank.resume(company.user, company.token)
        with pytest.raises((CertificateReissued, CertificateRevoked, CertificateExpired)):
            company.bank.log_on(user)


@pytest.mark.parametrize(
    ("locked", "refusal", "form"),
    [
        ("contract-closed", ContractClosed, FormKind.LOCKOUT_LIFT),
        ("stopped", EmergencyStopped, FormKind.EMERGENCY_STOP_LIFT),
    ],
)
def test_nobody_goes_round_the_branch_where_the_guide_sends_them_there(
    company: Company, locked: str, refusal: type[Refusal], form: FormKind
) -> None:
    situation = f"user works valid {locked} known at-hand"
    bring_about(company, situation)
    assert plan_for(answers_of(situation)).steps[0].forms == (form,)
    for held in (company.administrator, company.user):
        with pytest.raises(Refusal) as refused:
            company.bank.log_on(held)
        assert isinstance(refused.value, refusal) or refused.value.code == "certificate-suspended"
    with pytest.raises(NotAccepted):
        company.bank.acquire(KEIRI01)


def test_the_order_of_the_forms_is_the_one_that_works(company: Company) -> None:
    """A stop is lifted before a reissue, and PINs are reset after it; the other way round it does not work."""
    situation = "administrator broken stopped forgotten-administrator at-hand"
    [forms] = [step.forms for step in plan_for(answers_of(situation)).steps if step.do is Do.GO_TO_THE_BRANCH]
    assert forms == (FormKind.EMERGENCY_STOP_LIFT, FormKind.CERTIFICATE_REISSUE, FormKind.PIN_RESET)
    bring_about(company, situation)
    branch = company.branch()
    with pytest.raises(FormWithoutEffect):
        branch.carry_out(FormKind.CERTIFICATE_REISSUE)
    branch.carry_out(FormKind.EMERGENCY_STOP_LIFT)
    slip = branch.carry_out(FormKind.PIN_RESET)
    branch.carry_out(FormKind.CERTIFICATE_REISSUE)
    assert slip is not None
    with pytest.raises(ProvisionalPinEnded):
        acquire(company.bank, slip)


def test_provisional_pins_come_after_the_reissue_since_it_would_end_them(company: Company) -> None:
    steps = [step.do for step in plan_for(answers_of("user works valid no forgotten-user at-hand")).steps]
    assert steps.index(Do.REISSUE_USER) < steps.index(Do.RESET_USER_PINS)
    company.reset()
    company.reissue()
    with pytest.raises(ProvisionalPinEnded):
        acquire(company.bank, company.slips["keiri01"])
