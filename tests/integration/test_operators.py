"""What operators do by commands: register a contract that waits for its opening, change a bank's policy."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.desk import last_code
from tests.support.world import ADDRESS, BANK, KEIRI01, KEIRI02, PINS, new_csr

from sekisho.domain.certificate import KeyHeld
from sekisho.domain.errors import CertificateExpired, ContractIdTaken, DetailsNotAllowed, EntryWrong, UserSuspended
from sekisho.domain.person import Kind
from sekisho.domain.policy import RULES, Policy, Rule, RuleOutOfBounds
from sekisho.domain.second_step import SecondStep
from sekisho.domain.secret import SecretName
from sekisho.store import audit, policies
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

    from sekisho.domain.certificate import IssuedCertificate

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


def in_force(bank: World) -> Policy:
    with bank.db.read() as tx:
        return policies.timeline(tx, BANK.code).at(bank.ports.now())


def test_a_rule_is_changed_with_what_it_was_and_the_others_stay(bank: World) -> None:
    before = in_force(bank)
    change = PolicyChange(second_steps=frozenset({SecondStep.TOTP}), rules={"grace_days": 90})
    changed = change_policy(bank.ports, bank=BANK.code, change=change, actor=OPERATOR).policy
    assert in_force(bank) == changed
    assert changed == replace(before, grace=timedelta(days=90), second_steps=frozenset({SecondStep.TOTP}))
    assert changes(bank) == [{"grace_days": "0 > 90", "second_steps": "card,totp,passkey > totp"}]
    change_policy(bank.ports, bank=BANK.code, change=change, actor=OPERATOR)
    assert len(changes(bank)) == 1


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_that_is_a_number_is_a_banks_own_within_its_bounds(bank: World, rule: Rule) -> None:
    present = rule.write(BANK.policy)
    for beyond in (rule.least - 1, rule.most + 1):
        with pytest.raises(RuleOutOfBounds):
            change_policy(bank.ports, bank=BANK.code, change=PolicyChange(rules={rule.name: beyond}), actor=OPERATOR)
    assert not changes(bank)
    other = [7, 3] if rule.several else rule.most if present != rule.most else rule.least
    change_policy(bank.ports, bank=BANK.code, change=PolicyChange(rules={rule.name: other}), actor=OPERATOR)
    found = in_force(bank)
    assert found != BANK.policy
    assert rule.write(found) == other
    assert list(changes(bank)[0]) == [rule.name]


@pytest.mark.parametrize(
    "rules",
    [
        {"renewal_window_days": 60, "certificate_life_days": 30},
        {"renewal_window_days": 20},  # the first reminder would come before it
        {"reminders_days": [40, 3]},
        {"reminders_days": []},
        {"session_idle_minutes": 60, "session_life_hours": 0},
    ],
    ids=str,
)
def test_rules_that_disagree_are_refused_together(bank: World, rules: dict[str, Any]) -> None:
    with pytest.raises(RuleOutOfBounds):
        change_policy(bank.ports, bank=BANK.code, change=PolicyChange(rules=rules), actor=OPERATOR)
    assert not changes(bank)


def test_fewer_misses_close_the_door_where_a_bank_says_so(bank: World) -> None:
    change_policy(bank.ports, bank=BANK.code, change=PolicyChange(rules={"misses_before_closed": 3}), actor=OPERATOR)
    stricter = replace(BANK, policy=in_force(bank))
    held = bank.acquire(KEIRI01)

    def enter() -> None:
        enter_pin(bank.ports, bank=stricter, kind=Kind.USER, der=held.der, pin="wrong111", address=ADDRESS)

    for _ in range(2):
        with pytest.raises(EntryWrong):
            enter()
    with pytest.raises(UserSuspended):
        enter()


@pytest.mark.parametrize("misses", [3, 5])
def test_a_lower_limit_shuts_nobody_out_and_the_next_miss_shuts_the_door(bank: World, misses: int) -> None:
    """Who is at the new limit, or over it, stands before an open door: their next entry decides."""
    held, other = bank.acquire(KEIRI01), bank.acquire(KEIRI02)
    for certificate in (held, other):
        for _ in range(misses):
            with pytest.raises(EntryWrong):
                bank.log_on(certificate, "wrong111")
    change_policy(bank.ports, bank=BANK.code, change=PolicyChange(rules={"misses_before_closed": 3}), actor=OPERATOR)
    stricter = replace(BANK, policy=in_force(bank))

    def enter(certificate: IssuedCertificate, pin: str) -> None:
        enter_pin(bank.ports, bank=stricter, kind=Kind.USER, der=certificate.der, pin=pin, address=ADDRESS)

    enter(held, PINS[KEIRI01][0])
    with pytest.raises(EntryWrong):
        enter(held, "wrong111")  # the count began anew
    with pytest.raises(UserSuspended):
        enter(other, "wrong111")
    with pytest.raises(UserSuspended):
        enter(other, PINS[KEIRI02][0])
    counted = "SELECT misses FROM secrets JOIN people ON people.id = person_id WHERE user_key = 'keiri02'"
    assert max(row.misses for row in bank.rows(counted)) == misses + 1


def test_misses_at_a_door_that_is_open_keep_nobody_from_acquiring(bank: World) -> None:
    held = bank.acquire(KEIRI02)
    for _ in range(5):
        with pytest.raises(EntryWrong):
            bank.log_on(held, "wrong111")
    bank.change(
        "INSERT INTO permits (person_id, granted_at, expires_at, misses) "
        "SELECT person_id, granted_at, expires_at, 0 FROM permits WHERE spent_at IS NOT NULL"
    )
    bank.bank = replace(BANK, policy=replace(BANK.policy, misses_before_closed=5))
    assert bank.acquire(KEIRI02)


def test_changes_at_the_same_time_stand_in_line(bank: World) -> None:
    def change(days: int) -> None:
        wanted = PolicyChange(rules={"grace_days": days})
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
    change = PolicyChange(rules={"grace_days": 80})
    grace = change_policy(bank.ports, bank=BANK.code, change=change, actor=OPERATOR).policy.grace
    met, _ = meet_visitor(bank.ports, bank=BANK, kind=Kind.USER, der=held.der, grace=grace)
    assert met.person == KEIRI01
