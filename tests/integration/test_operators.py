"""What operators do by commands: register a contract that waits for its opening, change a bank's policy."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.desk import last_code
from tests.support.world import ADDRESS, BANK, KEIRI01, new_csr

from sekisho.domain.certificate import KeyHeld
from sekisho.domain.errors import CertificateExpired, ContractIdTaken, DetailsNotAllowed
from sekisho.domain.person import Kind
from sekisho.domain.second_step import SecondStep
from sekisho.domain.secret import SecretName
from sekisho.store import audit, banks
from sekisho.store.audit import Actor
from sekisho.usecases.acquire_certificate import Claim, acquire_certificate
from sekisho.usecases.change_pins import PinEntries
from sekisho.usecases.change_policy import PolicyChange, change_policy
from sekisho.usecases.log_on import answer_card, enter_pin
from sekisho.usecases.meet_visitor import meet_visitor
from sekisho.usecases.open_contract import Opener, confirm_opening, enter_opening
from sekisho.usecases.register_unopened import RegisteredContract, register_unopened
from sekisho.web.mails import code_mail

if TYPE_CHECKING:
    from tests.support.world import World

OPERATOR = Actor("operator:test")
NEW = {SecretName.PIN: "atarasi1", SecretName.CONFIRMATION_PIN: "atarasi2"}


def register(bank: World, contract_id: str | None = None, name: str = "見本製菓株式会社") -> RegisteredContract:
    return register_unopened(
        bank.ports,
        bank=BANK,
        name=name,
        administrator="菓子 太郎",
        language="ja",
        contract_id=contract_id,
        actor=OPERATOR,
    )


def test_what_is_printed_opens_the_contract(bank: World) -> None:
    made = register(bank)
    claim = Claim(made.contract_id, None, made.contract_pin, made.contract_confirmation_pin)
    held = acquire_certificate(bank.ports, bank=BANK, claim=claim, csr=new_csr(), held=KeyHeld.FILE, address=ADDRESS)
    opened = enter_pin(
        bank.ports, bank=BANK, kind=Kind.ADMINISTRATOR, der=held.der, pin=made.contract_pin, address=ADDRESS
    )
    asked = bank.resume(held, opened.token)
    done = answer_card(
        bank.ports,
        bank=BANK,
        certificate=asked.certificate,
        session=asked.session,
        digits=[made.card[str(position)] for position in opened.positions],
        address=ADDRESS,
    )
    current = bank.resume(held, done.token)
    assert current.person.contract_opened_at is None
    opener = Opener(current.session, held.id, ADDRESS)
    enter_opening(
        bank.ports,
        bank=BANK,
        opener=opener,
        registration_pin=made.registration_pin,
        pins=PinEntries({}, NEW, NEW),
        mail_address="kanri@kashi.example.com",
        mail=code_mail(bank.ports, BANK),
    )
    confirm_opening(bank.ports, bank=BANK, opener=opener, code=last_code(bank))
    assert bank.resume(held, done.token).person.contract_opened_at is not None


def test_a_contract_id_is_never_given_twice(bank: World) -> None:
    made = register(bank, "00000000001")
    assert made.contract_id == "00000000001"
    with pytest.raises(ContractIdTaken):
        register(bank, "00000000001", "別の会社")
    assert len({register(bank).contract_id for _ in range(5)}) == 5


def test_a_name_that_cannot_be_shown_registers_nothing(bank: World) -> None:
    with pytest.raises(DetailsNotAllowed) as refused:
        register(bank, "00000000002", "見本\u202e製菓")
    assert refused.value.fields == {"name": "entry-characters"}
    assert register(bank, "00000000002").contract_id == "00000000002"


def changes(bank: World) -> list[dict[str, Any]]:
    with bank.db.read() as tx:
        return [row["detail"] for row in audit.listed(tx) if row["action"] == "policy-changed"]


def test_a_rule_is_changed_with_what_it_was_and_the_others_stay(bank: World) -> None:
    with bank.db.read() as tx:
        before = banks.find(tx, BANK.code)
    assert before is not None
    change = PolicyChange(grace=timedelta(days=90), second_steps=frozenset({SecondStep.TOTP}))
    changed = change_policy(bank.ports, bank=BANK.code, change=change, actor=OPERATOR)
    with bank.db.read() as tx:
        after = banks.find(tx, BANK.code)
    assert after == replace(before, policy=changed)
    assert changed == replace(before.policy, grace=timedelta(days=90), second_steps=frozenset({SecondStep.TOTP}))
    assert changes(bank) == [{"grace_days": "0 > 90", "second_steps": "card,totp,passkey > totp"}]
    change_policy(bank.ports, bank=BANK.code, change=change, actor=OPERATOR)
    assert len(changes(bank)) == 1


def test_changes_at_the_same_time_stand_in_line(bank: World) -> None:
    def change(days: int) -> None:
        wanted = PolicyChange(grace=timedelta(days=days))
        change_policy(bank.ports, bank=BANK.code, change=wanted, actor=OPERATOR)

    with ThreadPoolExecutor(6) as crowd:
        list(crowd.map(change, range(1, 7)))
    told = [row["grace_days"].split(" > ") for row in changes(bank)]
    assert [was for was, _ in told] == ["0", *(new for _, new in told[:-1])]


def test_the_grace_period_that_was_set_lets_an_ended_certificate_in_to_renew(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    bank.clock[0] = held.not_after + timedelta(days=1)
    with pytest.raises(CertificateExpired):
        meet_visitor(bank.ports, bank=BANK, kind=Kind.USER, der=held.der)
    change = PolicyChange(grace=timedelta(days=80))
    grace = change_policy(bank.ports, bank=BANK.code, change=change, actor=OPERATOR).grace
    met, _ = meet_visitor(bank.ports, bank=BANK, kind=Kind.USER, der=held.der, grace=grace)
    assert met.person == KEIRI01
