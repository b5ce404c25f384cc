"""開通確認: what opens a contract, and that nothing of it can be reached before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.at_once import DONE, at_once
from tests.support.counter import Counter
from tests.support.desk import last_code
from tests.support.unopened import (
    CONTRACT,
    FORM_PINS,
    KEIRI,
    MAIL,
    NEW_PINS,
    REGISTRATION_PIN,
    USER_PINS,
    WHO,
    Unopened,
    acquire,
)
from tests.support.world import ADDRESS, ADMINISTRATOR, BANK

from sekisho.domain.errors import (
    ContractClosed,
    ContractNotOpen,
    DetailsNotAllowed,
    EntryMissing,
    EntryWrong,
    MailAway,
    NotAccepted,
    OpeningCodeWrong,
    OpeningStepDone,
    PinNotAllowed,
    Refusal,
)
from sekisho.domain.request_forms import Step
from sekisho.domain.secret import PINS, SecretName
from sekisho.store.audit import Actor
from sekisho.usecases.file_form import file_at_counter
from sekisho.usecases.log_on import enter_pin
from sekisho.usecases.open_contract import OpeningStep, opening_step
from sekisho.usecases.ports import MailServerAway
from sekisho.usecases.read_status import read_inbox
from sekisho.usecases.register_contract import register_contract
from sekisho.web.slips import slip_of

if TYPE_CHECKING:
    from tests.support.world import World

    from sekisho.domain.certificate import IssuedCertificate
    from sekisho.usecases.provisional_pins import IssuedPins


@pytest.fixture
def new(bank: World) -> Unopened:
    return Unopened(bank)


def opened_at(bank: World) -> Any:
    return bank.rows("SELECT opened_at FROM contracts WHERE contract_id = :id", id=CONTRACT)[0].opened_at


def secret_names(bank: World) -> dict[str, int]:
    sql = (
        "SELECT s.name, s.misses FROM secrets s JOIN people p ON p.id = s.person_id "
        "WHERE p.contract_id = :id AND p.user_key = ''"
    )
    return {row.name: row.misses for row in bank.rows(sql, id=CONTRACT)}


def actions(bank: World) -> list[str]:
    return [
        row.action for row in bank.rows("SELECT action FROM audit WHERE contract_id = :id ORDER BY id", id=CONTRACT)
    ]


def log_on_user(bank: World, held: IssuedCertificate) -> None:
    enter_pin(bank.ports, bank=BANK, kind=KEIRI.kind, der=held.der, pin=USER_PINS[0], address=ADDRESS)


def test_the_contract_is_open_after_both_steps(bank: World, new: Unopened) -> None:
    current = new.log_on()
    assert current.person.contract_opened_at is None
    assert opening_step(bank.ports, person=current.person) is OpeningStep.ENTRIES
    new.enter(current)
    assert opening_step(bank.ports, person=current.person) is OpeningStep.CODE
    assert opened_at(bank) is None
    new.confirm(current, last_code(bank))
    again = new.log_on()
    assert again.person.contract_opened_at == bank.clock[0]
    row = bank.rows(
        "SELECT mail_address, mail_confirmed_at FROM people WHERE contract_id = :id AND user_key = ''", id=CONTRACT
    )[0]
    assert row.mail_address == MAIL
    assert row.mail_confirmed_at is not None
    assert "registration-pin" not in secret_names(bank), "it is used once"
    assert [one for one in actions(bank) if one.startswith(("opening", "contract"))] == [
        "contract-registered",
        "opening-entered",
        "contract-opened",
    ]
    assert {"contract-opened", "pins-changed"} <= {notice.code for notice in read_inbox(bank.ports, logged_on=again)}
    log_on_user(bank, acquire(bank, KEIRI, USER_PINS))


def test_the_session_goes_on(bank: World, new: Unopened) -> None:
    opened = new.log_on()
    new.enter(opened)
    new.confirm(opened, last_code(bank))
    ended = bank.rows("SELECT ended_at FROM sessions WHERE id = :id", id=opened.session.id)[0].ended_at
    assert ended is None


def test_users_neither_acquire_nor_log_on_before(bank: World, new: Unopened) -> None:
    current = new.log_on()
    with pytest.raises(NotAccepted):
        acquire(bank, KEIRI, USER_PINS)
    new.enter(current)
    with pytest.raises(NotAccepted):
        acquire(bank, KEIRI, USER_PINS)
    assert bank.rows("SELECT misses FROM permits p JOIN people o ON o.id = p.person_id WHERE o.user_key = 'keiri'") == [
        (0,)
    ], "right PINs never count"
    new.confirm(current, last_code(bank))
    held = acquire(bank, KEIRI, USER_PINS)
    bank.change("UPDATE contracts SET opened_at = NULL")
    with pytest.raises(ContractNotOpen):
        log_on_user(bank, held)


def test_other_contracts_are_as_they_were(bank: World, new: Unopened) -> None:
    other = bank.acquire(ADMINISTRATOR)
    current = bank.resume(other, bank.log_on(other))
    assert current.person.contract_opened_at is not None
    with pytest.raises(OpeningStepDone):
        new.enter(current)
    with pytest.raises(OpeningStepDone):
        new.confirm(current, "12345678")
    with pytest.raises(OpeningStepDone):
        new.mail_again(current)
    assert bank.rows("SELECT mail_address FROM people WHERE id = :id", id=current.person.id) == [("kanri@example.com",)]


def test_the_certificate_is_not_renewed_before(bank: World, new: Unopened) -> None:
    bank.later(days=340)
    with pytest.raises(ContractNotOpen):
        bank.renew(new.held, pin=FORM_PINS[0])


def test_a_wrong_registration_pin_counts_by_itself_and_changes_nothing(bank: World, new: Unopened) -> None:
    current = new.log_on()
    with pytest.raises(EntryWrong):
        new.enter(current, "touroku2")
    assert secret_names(bank) == {"pin": 0, "confirmation-pin": 0, "card": 0, "registration-pin": 1}
    assert bank.mailbox.mails == {}
    new.pin = FORM_PINS[0]
    new.enter(new.log_on(), "ｔｏｕｒｏｋｕ１")


def test_logging_on_anew_does_not_clear_its_count_and_seven_close_the_contract(bank: World, new: Unopened) -> None:
    for _ in range(6):
        with pytest.raises(EntryWrong):
            new.enter(new.log_on(), "touroku2")
        new.pin = FORM_PINS[0]
    current = new.log_on()
    with pytest.raises(ContractClosed):
        new.enter(current, "touroku2")
    with pytest.raises(ContractClosed):
        new.log_on()
    with pytest.raises(ContractClosed):
        new.enter(current)
    assert opened_at(bank) is None
    assert "contract-closed" in actions(bank)


@pytest.mark.parametrize(
    ("pins", "fields"),
    [
        ((FORM_PINS[0], NEW_PINS[1]), {"new_pin": "pin-on-form"}),
        ((FORM_PINS[1], FORM_PINS[0]), {"new_pin": "pin-on-form", "new_confirmation_pin": "pin-on-form"}),
        ((NEW_PINS[0], REGISTRATION_PIN), {"new_confirmation_pin": "pin-on-form"}),
        ((NEW_PINS[0], NEW_PINS[0]), {"new_confirmation_pin": "pin-equals-sister"}),
        (("abc", NEW_PINS[1]), {"new_pin": "pin-length"}),
    ],
)
def test_pins_that_cannot_be_used(bank: World, new: Unopened, pins: tuple[str, str], fields: dict[str, str]) -> None:
    with pytest.raises(PinNotAllowed) as refused:
        new.enter(new.log_on(), pins=pins)
    assert refused.value.fields == fields
    assert "registration-pin" in secret_names(bank)
    new.pin = FORM_PINS[0]
    assert new.log_on()


def test_what_stands_on_the_form_is_not_told_to_who_does_not_know_the_registration_pin(new: Unopened) -> None:
    with pytest.raises(EntryWrong):
        new.enter(new.log_on(), "touroku2", pins=(FORM_PINS[0], NEW_PINS[1]))


@pytest.mark.parametrize(
    ("changed", "refusal", "field"),
    [
        ({"registration_pin": " "}, EntryMissing, "registration_pin"),
        ({"pins": (NEW_PINS[0], "")}, EntryMissing, "new_confirmation_pin"),
        ({"mail_address": ""}, DetailsNotAllowed, "mail_address"),
        ({"mail_address": "kanri@kogyo"}, DetailsNotAllowed, "mail_address"),
    ],
)
def test_fields_that_lack_something(
    bank: World, new: Unopened, changed: dict[str, Any], refusal: type[Refusal], field: str
) -> None:
    with pytest.raises(refusal) as refused:
        new.enter(new.log_on(), **changed)
    assert list(refused.value.fields) == [field]
    assert secret_names(bank)["registration-pin"] == 0


def test_a_second_window_repeats_nothing(bank: World, new: Unopened) -> None:
    current = new.log_on()
    new.enter(current)
    with pytest.raises(OpeningStepDone):
        new.enter(current, pins=("betunoa1", "betunoa2"))
    new.pin = NEW_PINS[0]
    code = last_code(bank)
    new.confirm(current, code)
    with pytest.raises(OpeningStepDone):
        new.confirm(current, code)
    assert actions(bank).count("contract-opened") == 1
    assert new.log_on()


def test_the_code_is_not_asked_before_the_registration_pin(bank: World, new: Unopened) -> None:
    current = new.log_on()
    with pytest.raises(OpeningStepDone):
        new.confirm(current, "00000000")
    with pytest.raises(OpeningStepDone):
        new.mail_again(current)
    assert bank.mailbox.mails == {}


def test_both_steps_at_once_from_two_windows_are_done_once(bank: World, new: Unopened) -> None:
    current = new.log_on()
    for step in (lambda: new.enter(current), lambda: new.confirm(current, last_code(bank))):
        assert sorted(at_once([step] * 2)) in ([DONE, "opening-code-wrong"], [DONE, "opening-step-done"])
    assert actions(bank).count("opening-entered") == 1
    assert actions(bank).count("contract-opened") == 1


def test_wrong_codes_use_the_code_up_and_another_one_opens(bank: World, new: Unopened) -> None:
    current = new.log_on()
    new.enter(current)
    first = last_code(bank)
    wrong = "00000000" if first != "00000000" else "00000001"
    for _ in range(7):
        with pytest.raises(OpeningCodeWrong):
            new.confirm(current, wrong)
    with pytest.raises(OpeningCodeWrong):
        new.confirm(current, first)
    assert actions(bank).count("mailed-code-missed") == 7
    assert opened_at(bank) is None
    bank.later(minutes=2)
    new.mail_again(current)
    new.confirm(current, last_code(bank))
    assert opened_at(bank) is not None


def test_a_code_that_is_over_opens_nothing(bank: World, new: Unopened) -> None:
    new.enter(new.log_on())
    code = last_code(bank)
    bank.later(minutes=15)
    current = new.log_on()
    with pytest.raises(OpeningCodeWrong):
        new.confirm(current, code)
    new.mail_again(current)
    assert last_code(bank) != code
    new.confirm(current, last_code(bank))


def test_another_address_gets_another_code_and_the_first_counts_no_more(bank: World, new: Unopened) -> None:
    current = new.log_on()
    new.enter(current, mail_address="kanri@kogyo.example.co")
    first = last_code(bank)
    new.mail_again(current, "kanri@kogyo.example")
    assert list(bank.mailbox.mails.values())[-1]["To"] == "kanri@kogyo.example"
    with pytest.raises(OpeningCodeWrong):
        new.confirm(current, first)
    new.confirm(current, last_code(bank))
    assert "opening-mail-address-changed" in actions(bank)
    rows = bank.rows("SELECT mail_address FROM people WHERE contract_id = :id AND user_key = ''", id=CONTRACT)
    assert rows == [("kanri@kogyo.example",)]


def test_a_mail_that_cannot_be_sent_leaves_the_first_step_done(
    bank: World, new: Unopened, monkeypatch: pytest.MonkeyPatch
) -> None:
    current = new.log_on()

    def away(_message: object, _key: str) -> str:
        raise MailServerAway("no answer")

    with monkeypatch.context() as fault:
        fault.setattr(bank.mailbox, "send", away)
        with pytest.raises(MailAway):
            new.enter(current)
    new.pin = NEW_PINS[0]
    assert opening_step(bank.ports, person=current.person) is OpeningStep.CODE
    current = new.log_on()
    new.mail_again(current)
    new.confirm(current, last_code(bank))


def test_no_secret_is_left_anywhere(bank: World, new: Unopened) -> None:
    current = new.log_on()
    new.enter(current)
    code = last_code(bank)
    new.confirm(current, code)
    told = [*bank.rows("SELECT detail FROM audit"), *bank.rows("SELECT detail FROM notices")]
    stored = str([*told, *bank.rows("SELECT * FROM mailed_codes"), *bank.rows("SELECT * FROM secrets")])
    assert not any(secret in stored for secret in (REGISTRATION_PIN, code, *NEW_PINS))


@pytest.mark.parametrize("pin", ["short", "ABCDEFGH", CONTRACT])
def test_a_registration_pin_follows_the_rules(bank: World, pin: str) -> None:
    with pytest.raises(PinNotAllowed):
        register_contract(
            bank.ports, bank=BANK, contract_id=CONTRACT, name="x", everyone=[], actor=Actor("t"), registration_pin=pin
        )
    assert bank.rows("SELECT count(*) FROM contracts WHERE contract_id = :id", id=CONTRACT) == [(0,)]


def reset(bank: World, counter: Counter, **changed: str) -> IssuedPins:
    """Have the branch carry out a request about the unopened contract, and return what stands on the slip."""
    number = file_at_counter(
        bank.ports,
        at_work=counter.at_clerk,
        contract_id=CONTRACT,
        kind="contract-change" if changed else "pin-reset",
        user_id="",
        detail=changed,
    )
    counter.move(number, Step.CHECK_SEAL)
    counter.move(number, Step.APPROVE, counter.at_approver)
    issued = counter.carry_out(number)
    assert issued is not None
    return issued


def test_a_slip_that_was_lost_is_replaced_by_one_that_opens(bank: World, new: Unopened) -> None:
    issued = reset(bank, Counter(bank))
    assert list(issued.pins) == [SecretName.PIN, SecretName.CONFIRMATION_PIN, SecretName.REGISTRATION_PIN]
    slip = slip_of(issued, "ja", public_url="https://bank.example")
    assert [fact.value for fact in slip.facts if fact.secret] == list(issued.pins.values())
    assert (slip.title, len(slip.steps)) == ("ご契約の暗証番号のお知らせ", 2), "the certificate was acquired before"
    with pytest.raises(EntryWrong):
        new.log_on()
    new.pin = issued.pins[SecretName.PIN]
    current = new.log_on()
    assert not current.pins_to_replace, "the opening replaces them"
    with pytest.raises(EntryWrong):
        new.enter(current, REGISTRATION_PIN)
    new.enter(current, issued.pins[SecretName.REGISTRATION_PIN])
    new.confirm(current, last_code(bank))
    assert new.log_on().person.contract_opened_at == bank.clock[0]


def test_pins_that_were_forgotten_before_the_code_was_entered_begin_the_opening_anew(
    bank: World, new: Unopened
) -> None:
    counter = Counter(bank)
    new.enter(new.log_on())
    issued = reset(bank, counter)
    new.pin = issued.pins[SecretName.PIN]
    current = new.log_on()
    assert opening_step(bank.ports, person=current.person) is OpeningStep.ENTRIES
    new.enter(current, issued.pins[SecretName.REGISTRATION_PIN], pins=("mittume1", "mittume2"))
    new.confirm(current, last_code(bank))
    assert reset(bank, counter).pins.keys() == set(PINS), "an open contract has nothing to open"


def test_another_administrator_before_the_opening_gets_what_opens(bank: World, new: Unopened) -> None:
    issued = reset(bank, Counter(bank), new_administrator="後任 花子", mail_address="hanako@example.co.jp")
    assert issued.acquires
    assert len(slip_of(issued, "ja", public_url="https://bank.example").steps) == 3
    pins = (issued.pins[SecretName.PIN], issued.pins[SecretName.CONFIRMATION_PIN])
    new.held, new.pin = acquire(bank, WHO, pins), pins[0]
    new.enter(new.log_on(), issued.pins[SecretName.REGISTRATION_PIN])
