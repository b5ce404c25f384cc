"""A request for a new contract: received, approved, registered with its slip and its card, and logged on to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.integration.test_cards import OPERATOR
from tests.support.card_maker import Maker
from tests.support.counter import Counter
from tests.support.world import ADDRESS, BANK, CONTRACT, World, new_csr

from sekisho.domain.certificate import KeyHeld
from sekisho.domain.errors import (
    CardMissing,
    ContractIdTaken,
    ContractUnknown,
    DetailsNotAllowed,
    FormMoved,
    FourEyes,
    NotAccepted,
    RoleMissing,
)
from sekisho.domain.person import Kind
from sekisho.domain.request_forms import FormState, Step
from sekisho.domain.secret import SecretName
from sekisho.domain.staff import Role
from sekisho.usecases.acquire_certificate import Claim, acquire_certificate
from sekisho.usecases.cards import post_cards, print_cards
from sekisho.usecases.file_form import file_at_counter
from sekisho.usecases.file_opening import file_opening
from sekisho.usecases.find_contracts import find_contracts, read_contract
from sekisho.usecases.log_on import answer_card, enter_pin
from sekisho.usecases.open_contract import OpeningStep, opening_step
from sekisho.usecases.read_forms import read_form
from sekisho.usecases.resume_session import LoggedOn, resume_session

if TYPE_CHECKING:
    from pathlib import Path

    from sekisho.usecases.enter_console import AtWork
    from sekisho.usecases.provisional_pins import IssuedPins

NEW = "20000000002"
TYPED = {
    "contract_id": "２００００００-０００２",
    "company_name": " 株式会社  新見本 ",
    "company_kana": "シンミホン",
    "administrator_name": "見本 花子",
    "mail_address": "hanako@example.co.jp",
}


@pytest.fixture
def counter(bank: World) -> Counter:
    return Counter(bank)


def receive(counter: Counter, by: AtWork | None = None, /, **changed: str) -> str:
    return file_opening(counter.bank.ports, at_work=by or counter.at_clerk, typed=TYPED | changed)


def approve(counter: Counter, number: str) -> str:
    assert counter.move(number, Step.CHECK_SEAL) is FormState.SEAL_CHECKED
    assert counter.move(number, Step.APPROVE, counter.at_approver) is FormState.APPROVED
    return number


def test_the_whole_way_of_an_opening(bank: World, counter: Counter, tmp_path: Path) -> None:
    number = approve(counter, receive(counter))
    with pytest.raises(ContractUnknown):
        read_contract(bank.ports, at_work=counter.at_clerk, contract_id=NEW)
    slip = counter.carry_out(number)
    assert slip is not None
    assert list(slip.pins) == [SecretName.PIN, SecretName.CONFIRMATION_PIN, SecretName.REGISTRATION_PIN]
    whole = read_contract(bank.ports, at_work=counter.at_clerk, contract_id=NEW)
    assert (whole.contract.name, whole.contract.opened_at) == ("株式会社 新見本", None)
    assert [form.number for form in whole.forms] == [number]
    assert whole.card is not None
    assert whole.card.state.value == "ordered"
    assert whole.people[0].person.mail_address == "hanako@example.co.jp"
    (found,) = find_contracts(bank.ports, staff=counter.at_clerk.staff, looked_for="しんみほん").contracts
    assert found.contract_id == NEW
    done = [row["action"] for row in read_form(bank.ports, at_work=counter.at_clerk, number=number).done]
    assert done == ["form-received", "form-seal-checked", "form-approved", "form-carried-out"]
    with pytest.raises(FormMoved):
        counter.carry_out(number)

    held = acquire(bank, slip)
    with pytest.raises(CardMissing):
        enter_pin(
            bank.ports, bank=BANK, kind=Kind.ADMINISTRATOR, der=held, pin=slip.pins[SecretName.PIN], address=ADDRESS
        )
    maker = Maker(tmp_path, bank.clock[0], rsa.generate_private_key(65537, 2048))
    (row,) = maker.read(print_cards(bank.ports, bank=BANK, maker=maker.pem, actor=OPERATOR)[0])
    assert (row["contract_id"], row["company"]) == (NEW, "株式会社 新見本")
    post_cards(bank.ports, bank=BANK, contract_ids=[NEW], actor=OPERATOR)
    log_on(bank, slip, held, row)
    written = " ".join(str(bank.rows(f"SELECT * FROM {table}")) for table in ("audit", "notices", "request_forms"))  # noqa: S608
    assert not [pin for pin in slip.pins.values() if pin in written]


def acquire(bank: World, slip: IssuedPins) -> bytes:
    claim = Claim(NEW, None, slip.pins[SecretName.PIN], slip.pins[SecretName.CONFIRMATION_PIN])
    return acquire_certificate(
        bank.ports, bank=BANK, claim=claim, csr=new_csr(), held=KeyHeld.FILE, address=ADDRESS
    ).der


def log_on(bank: World, slip: IssuedPins, der: bytes, row: dict[str, str]) -> None:
    """Log on with the card, and find the page that confirms the opening."""
    pin = slip.pins[SecretName.PIN]
    opened = enter_pin(bank.ports, bank=BANK, kind=Kind.ADMINISTRATOR, der=der, pin=pin, address=ADDRESS)

    def resume(token: bytes) -> LoggedOn:
        return resume_session(bank.ports, bank=BANK, kind=Kind.ADMINISTRATOR, der=der, token=token)

    current = resume(opened.token)
    logged_on = answer_card(
        bank.ports,
        bank=BANK,
        certificate=current.certificate,
        session=current.session,
        digits=[row[str(position)] for position in opened.positions],
        address=ADDRESS,
    )
    current = resume(logged_on.token)
    assert opening_step(bank.ports, person=current.person) is OpeningStep.ENTRIES


def test_who_lost_the_slip_of_a_new_contract_acquires_with_the_next(bank: World, counter: Counter) -> None:
    """Also without a mail address, which is asked for at the opening."""
    lost = counter.carry_out(approve(counter, receive(counter, mail_address="")))
    given: dict[str, Any] = {"kind": "pin-reset", "user_id": "", "detail": {}}
    number = file_at_counter(bank.ports, at_work=counter.at_clerk, contract_id=NEW, **given)
    slip = counter.carry_out(approve(counter, number))
    assert lost is not None
    assert slip is not None
    assert (slip.acquires, slip.until) == (True, lost.until)
    assert list(slip.pins) == [SecretName.PIN, SecretName.CONFIRMATION_PIN, SecretName.REGISTRATION_PIN]
    with pytest.raises(NotAccepted):
        acquire(bank, lost)
    acquire(bank, slip)


@pytest.mark.parametrize(
    ("field", "typed", "problem"),
    [
        ("contract_id", "123", "contract-id-form"),
        ("contract_id", CONTRACT, "contract-id-taken"),
        ("company_name", " ", "entry-missing"),
        ("company_kana", "あ" * 61, "entry-too-long"),
        ("administrator_name", "\u202e花子", "entry-characters"),
        ("mail_address", "hanako", "mail-address-form"),
    ],
)
def test_what_cannot_be_taken_is_said_next_to_its_field(counter: Counter, field: str, typed: str, problem: str) -> None:
    with pytest.raises(DetailsNotAllowed) as refused:
        receive(counter, **{field: typed})
    assert refused.value.fields == {field: problem}


def test_an_id_is_drawn_where_none_is_typed(bank: World, counter: Counter) -> None:
    number = approve(counter, receive(counter, contract_id="", company_kana="", mail_address=""))
    slip = counter.carry_out(number)
    assert slip is not None
    assert slip.who.contract_id.isdigit()
    assert read_contract(bank.ports, at_work=counter.at_clerk, contract_id=slip.who.contract_id)


def test_the_branch_is_that_of_whoever_receives_it_or_what_the_centre_types(bank: World, counter: Counter) -> None:
    clerk = counter.office.add("kakari02", Role.CLERK, branch="002").at_work()
    numbers = {
        "002": receive(counter, clerk, branch="001"),
        "003": receive(counter, contract_id="20000000003", branch="００３"),
    }
    for branch, number in numbers.items():
        assert read_form(bank.ports, at_work=counter.at_clerk, number=number).form.branch == branch
    counter.carry_out(approve(counter, numbers["003"]))
    assert find_contracts(bank.ports, staff=replace(clerk.staff, branch="003"), looked_for="").contracts
    with pytest.raises(DetailsNotAllowed):
        receive(counter, branch="12")


def test_four_eyes_and_roles_are_those_of_every_form(counter: Counter) -> None:
    both = counter.office.add("ryouhou01", Role.CLERK, Role.APPROVER).at_work()
    number = receive(counter, both)
    counter.move(number, Step.CHECK_SEAL)
    with pytest.raises(FourEyes):
        counter.move(number, Step.APPROVE, both)
    with pytest.raises(RoleMissing):
        receive(counter, counter.at_approver)


def test_two_forms_for_one_id_give_one_contract(bank: World, counter: Counter) -> None:
    first, second = (approve(counter, receive(counter)) for _ in range(2))
    assert counter.carry_out(first) is not None
    with pytest.raises(ContractIdTaken):
        counter.carry_out(second)
    assert counter.state(second) == "approved"
    assert len(bank.rows("SELECT 1 FROM contracts WHERE contract_id = :c", c=NEW)) == 1
    assert counter.move(second, Step.RETURN, reason="二重の受付") is FormState.RETURNED
