"""The interim second step: the branch's code, an app set up on the way of a logon, and its end with the new card."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.integration.test_cards import OPERATOR, log_on_with
from tests.support.card_maker import Maker
from tests.support.counter import Counter
from tests.support.world import ADDRESS, ADMINISTRATOR, BANK, CONTRACT, PINS, World, code_now

from sekisho.domain.errors import (
    CardMissing,
    ContractClosed,
    EntryMissing,
    EntryWrong,
    FormExpired,
    FormWithoutEffect,
    SecondStepMissing,
    SessionRefused,
)
from sekisho.domain.person import Kind
from sekisho.domain.request_forms import FormKind
from sekisho.domain.second_step import INTERIM_APP, SecondStep
from sekisho.domain.secret import SecretName
from sekisho.store import sessions
from sekisho.usecases.cards import post_cards, print_cards
from sekisho.usecases.interim_step import enter_interim, interim_app, take_interim_app
from sekisho.usecases.log_on import enter_pin
from sekisho.usecases.manage_second_steps import mark_of
from sekisho.usecases.read_second_steps import read_second_steps
from sekisho.usecases.second_step import answer_totp

if TYPE_CHECKING:
    from pathlib import Path

    from sekisho.domain.certificate import IssuedCertificate
    from sekisho.usecases.log_on import OpenedSession
    from sekisho.usecases.resume_session import LoggedOn


class Computer:
    """The administrator's computer, and an app on their phone."""

    def __init__(self, bank: World) -> None:
        self.bank = bank
        self.held: IssuedCertificate = bank.acquire(ADMINISTRATOR)

    def enter_pin(self) -> LoggedOn:
        opened = enter_pin(
            self.bank.ports,
            bank=self.bank.bank,
            kind=Kind.ADMINISTRATOR,
            der=self.held.der,
            pin=PINS[ADMINISTRATOR][0],
            address=ADDRESS,
        )
        self.asked = opened.step
        return self.bank.resume(self.held, opened.token)

    def enter_code(self, current: LoggedOn, code: str) -> None:
        enter_interim(self.bank.ports, bank=self.bank.bank, current=current, code=code, address=ADDRESS)

    def digits(self, secret: str) -> str:
        return code_now(secret, self.bank.ports.now())

    def set_up(self, current: LoggedOn, secret: str, code: str | None = None) -> OpenedSession:
        return take_interim_app(
            self.bank.ports,
            bank=self.bank.bank,
            current=current,
            code=self.digits(secret) if code is None else code,
            shown=mark_of(secret),
            address=ADDRESS,
        )

    def log_on_by_app(self, secret: str) -> OpenedSession:
        self.bank.later(seconds=60)
        current = self.enter_pin()
        return answer_totp(
            self.bank.ports, bank=self.bank.bank, current=current, code=self.digits(secret), address=ADDRESS
        )

    def offered(self, current: LoggedOn) -> list[SecondStep]:
        return read_second_steps(self.bank.ports, bank=self.bank.bank, person=current.person).offered


@pytest.fixture
def counter(bank: World) -> Counter:
    return Counter(bank)


@pytest.fixture
def computer(bank: World) -> Computer:
    return Computer(bank)


def code_from(counter: Counter) -> str:
    slip = counter.through(FormKind.INTERIM_STEP)
    assert slip is not None
    assert list(slip.pins) == [SecretName.INTERIM]
    return slip.pins[SecretName.INTERIM]


def without_apps(bank: World) -> None:
    """Have the bank offer the card alone."""
    policy = replace(bank.bank.policy, second_steps=frozenset({SecondStep.CARD}))
    bank.bank = replace(bank.bank, policy=policy)


def test_who_lost_the_card_logs_on_with_a_code_and_an_app(
    bank: World, counter: Counter, computer: Computer, tmp_path: Path
) -> None:
    without_apps(bank)
    counter.through(FormKind.CARD_REISSUE)
    with pytest.raises(CardMissing):
        computer.enter_pin()
    code = code_from(counter)
    current = computer.enter_pin()
    assert (computer.asked, computer.offered(current)) == (SecondStep.INTERIM, [SecondStep.INTERIM])
    with pytest.raises(SecondStepMissing):
        interim_app(bank.ports, current=current)
    computer.enter_code(current, f" {code.upper()} ")
    secret = interim_app(bank.ports, current=current)
    with pytest.raises(EntryWrong):
        computer.set_up(current, secret, "000000")
    assert bank.resume(computer.held, computer.set_up(current, secret).token)
    with pytest.raises(SecondStepMissing):
        computer.enter_code(computer_session(computer), code)
    assert computer.log_on_by_app(secret)

    maker = Maker(tmp_path, bank.clock[0], rsa.generate_private_key(65537, 2048))
    (row,) = maker.read(print_cards(bank.ports, bank=BANK, maker=maker.pem, actor=OPERATOR)[0])
    post_cards(bank.ports, bank=BANK, contract_ids=[CONTRACT], actor=OPERATOR)
    assert computer.log_on_by_app(secret), "the app stands in until the card is in use"
    log_on_with(bank, computer.held, row)
    current = computer.enter_pin()
    assert computer.offered(current) == [SecondStep.CARD]
    stored = " ".join(str(bank.rows(f"SELECT * FROM {table}")) for table in ("audit", "notices", "secrets"))  # noqa: S608
    assert code not in stored
    assert secret not in stored


def computer_session(computer: Computer) -> LoggedOn:
    computer.bank.later(seconds=60)
    return computer.enter_pin()


def test_where_the_bank_offers_apps_the_new_one_stays(bank: World, counter: Counter, computer: Computer) -> None:
    code = code_from(counter)
    current = computer.enter_pin()
    assert computer.offered(current) == [SecondStep.INTERIM, SecondStep.CARD]
    computer.enter_code(current, code)
    secret = interim_app(bank.ports, current=current)
    computer.set_up(current, secret)
    bank.later(days=INTERIM_APP.days + 1)
    assert computer.log_on_by_app(secret)


def test_an_app_that_stands_in_ends(bank: World, counter: Counter, computer: Computer) -> None:
    without_apps(bank)
    code = code_from(counter)
    current = computer.enter_pin()
    computer.enter_code(current, code)
    secret = interim_app(bank.ports, current=current)
    computer.set_up(current, secret)
    bank.later(days=INTERIM_APP.days, seconds=-120)
    assert computer.log_on_by_app(secret)
    bank.later(seconds=120)
    assert computer.offered(computer.enter_pin()) == [SecondStep.CARD]


def test_the_code_ends_the_app_before_and_the_sessions(bank: World, counter: Counter, computer: Computer) -> None:
    code = code_from(counter)
    current = computer.enter_pin()
    computer.enter_code(current, code)
    old = interim_app(bank.ports, current=current)
    token = computer.set_up(current, old).token
    assert code_from(counter) != code
    with pytest.raises(SessionRefused):
        bank.resume(computer.held, token)
    assert computer.offered(computer_session(computer)) == [SecondStep.INTERIM, SecondStep.CARD]


def test_a_code_has_an_end(bank: World, counter: Counter, computer: Computer) -> None:
    code = code_from(counter)
    current = computer.enter_pin()
    bank.later(days=14)
    current = computer.enter_pin()
    assert computer.offered(current) == [SecondStep.CARD]
    with pytest.raises(SecondStepMissing):
        computer.enter_code(current, code)


def test_wrong_codes_count_and_shut_the_contract(bank: World, counter: Counter, computer: Computer) -> None:
    code_from(counter)
    current = computer.enter_pin()
    with pytest.raises(EntryMissing):
        computer.enter_code(current, "  ")
    for _ in range(6):
        with pytest.raises(EntryWrong):
            computer.enter_code(current, "wrongwrong")
    with pytest.raises(ContractClosed):
        computer.enter_code(current, "wrongwrong")
    misses = [row.action for row in bank.rows("SELECT action FROM audit WHERE action = 'entry-missed'")]
    assert len(misses) == 7
    counter.through(FormKind.LOCKOUT_LIFT)
    assert computer.enter_pin()


def test_the_app_is_set_up_in_the_session_that_had_the_code(bank: World, counter: Counter, computer: Computer) -> None:
    code = code_from(counter)
    here, elsewhere = computer.enter_pin(), computer.enter_pin()
    computer.enter_code(here, code)
    secret = interim_app(bank.ports, current=here)
    with pytest.raises(SecondStepMissing):
        interim_app(bank.ports, current=elsewhere)
    # Nor does a session that has something else to answer, such as a passkey's question.
    bank.ports.db.write(lambda tx: sessions.put_challenge(tx, elsewhere.session.id, b"x" * 32))
    with pytest.raises(SecondStepMissing):
        interim_app(bank.ports, current=elsewhere)
    with pytest.raises(SecondStepMissing):
        computer.set_up(elsewhere, secret)
    # The code entered once more makes another secret; a page with the one before is told so.
    computer.enter_code(here, code)
    with pytest.raises(FormExpired):
        computer.set_up(here, secret)
    bank.later(minutes=31)
    with pytest.raises(SecondStepMissing):
        interim_app(bank.ports, current=here)


def test_a_code_that_the_branch_gave_anew_ends_what_was_begun(
    bank: World, counter: Counter, computer: Computer
) -> None:
    code = code_from(counter)
    current = computer.enter_pin()
    computer.enter_code(current, code)
    secret = interim_app(bank.ports, current=current)
    code_from(counter)
    with pytest.raises((SecondStepMissing, SessionRefused)):
        computer.set_up(current, secret)


def test_a_stopped_contract_gets_no_code(counter: Counter) -> None:
    counter.through(FormKind.EMERGENCY_STOP)
    number = counter.approved(FormKind.INTERIM_STEP)
    with pytest.raises(FormWithoutEffect):
        counter.carry_out(number)


def test_the_end_of_a_permit_leaves_the_code(bank: World, counter: Counter, computer: Computer) -> None:
    code = code_from(counter)
    counter.through(FormKind.CERTIFICATE_REISSUE)
    counter.through(FormKind.CERTIFICATE_REISSUE)
    computer.held = bank.acquire(ADMINISTRATOR)
    computer.enter_code(computer.enter_pin(), code)
