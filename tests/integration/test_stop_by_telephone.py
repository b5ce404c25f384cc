"""A stop that somebody asks for on the telephone: on record whatever comes of it, carried out where it confirms who."""

from __future__ import annotations

import pytest
from tests.support.counter import Counter
from tests.support.overtaking import overtaken
from tests.support.world import ADMINISTRATOR, CONTRACT, KEIRI01, World

from sekisho.domain.errors import (
    CertificateSuspended,
    ChoiceMissing,
    ContractUnknown,
    DetailsNotAllowed,
    EmergencyStopped,
    FormWithoutEffect,
    IdentityNotConfirmed,
    RoleMissing,
)
from sekisho.domain.request_forms import FormKind
from sekisho.domain.staff import Role
from sekisho.usecases.stop_by_telephone import stop_by_telephone

CONFIRMED = {
    "call_back": "03-1234-5678",
    "administrator_name": "right",
    "number_of_users": "right",
    "last_logon": "not-asked",
    "branch_and_opening": "not-asked",
}


@pytest.fixture
def counter(bank: World) -> Counter:
    return Counter(bank)


def call(counter: Counter, what: str, user_id: str = "", **changed: str) -> None:
    typed = CONFIRMED | {"what": what, "user_id": user_id} | changed
    stop_by_telephone(counter.bank.ports, at_work=counter.at_clerk, contract_id=CONTRACT, typed=typed)


def on_record(bank: World) -> list[str]:
    rows = bank.rows("SELECT detail FROM audit WHERE action = 'telephone-checked' ORDER BY id")
    return [str(row.detail) for row in rows]


def test_a_certificate_is_stopped_and_the_rest_goes_on(bank: World, counter: Counter) -> None:
    held, user = bank.acquire(ADMINISTRATOR), bank.acquire(KEIRI01)
    call(counter, "certificate")
    with pytest.raises(CertificateSuspended):
        bank.log_on(held)
    assert bank.log_on(user)
    call(counter, "certificate", "keiri01")
    with pytest.raises(CertificateSuspended):
        bank.log_on(user)
    with pytest.raises(FormWithoutEffect):
        call(counter, "certificate", "keiri01")
    assert len(on_record(bank)) == 3, "a call that stops nothing is on record, too"
    counter.through(FormKind.EMERGENCY_STOP_LIFT)
    assert bank.log_on(held)


def test_a_user_or_the_whole_contract_is_stopped(bank: World, counter: Counter) -> None:
    held, user = bank.acquire(ADMINISTRATOR), bank.acquire(KEIRI01)
    call(counter, "user", "keiri01")
    with pytest.raises(EmergencyStopped):
        bank.log_on(user)
    assert bank.log_on(held)
    call(counter, "contract")
    with pytest.raises(EmergencyStopped):
        bank.log_on(held)
    with pytest.raises(FormWithoutEffect):
        call(counter, "contract")
    assert len(on_record(bank)) == 3


def test_a_call_about_a_contract_that_has_ended_is_on_record(bank: World, counter: Counter) -> None:
    counter.through(FormKind.CONTRACT_END)
    with pytest.raises(FormWithoutEffect):
        call(counter, "contract")
    assert len(on_record(bank)) == 1


def test_a_contract_that_ends_while_a_call_waits_is_stopped_by_nobody(bank: World, counter: Counter) -> None:
    with pytest.raises(FormWithoutEffect):
        overtaken(bank, ["UPDATE contracts SET ended_at = registered_at"], lambda: call(counter, "contract"))
    assert "emergency-stopped" not in [row.action for row in bank.rows("SELECT action FROM audit")]


def test_a_user_who_is_deleted_while_a_call_waits_is_stopped_by_nobody(bank: World, counter: Counter) -> None:
    gone = "UPDATE people SET deleted_at = registered_at WHERE user_key = 'keiri01'"
    with pytest.raises(DetailsNotAllowed):
        overtaken(bank, [gone], lambda: call(counter, "user", "keiri01"))


def test_a_call_that_confirms_nobody_stops_nothing_and_is_on_record(bank: World, counter: Counter) -> None:
    held = bank.acquire(ADMINISTRATOR)
    with pytest.raises(IdentityNotConfirmed):
        call(counter, "contract", last_logon="wrong")
    assert bank.log_on(held)
    (detail,) = on_record(bank)
    for part in ("0312345678", "administrator-name, number-of-users", "last-logon", "no"):
        assert part in detail


@pytest.mark.parametrize(
    ("changed", "refusal", "field"),
    [
        ({"what": ""}, ChoiceMissing, "what"),
        ({"call_back": "1"}, DetailsNotAllowed, "call_back"),
        ({"what": "user"}, DetailsNotAllowed, "user_id"),
        ({"what": "contract", "user_id": "keiri01"}, DetailsNotAllowed, "user_id"),
        ({"what": "user", "user_id": "nobody"}, DetailsNotAllowed, "user_id"),
    ],
)
def test_what_cannot_be_taken_leaves_no_record(
    bank: World, counter: Counter, changed: dict[str, str], refusal: type[DetailsNotAllowed], field: str
) -> None:
    with pytest.raises(refusal) as refused:
        call(counter, **({"what": "contract"} | changed))
    assert list(refused.value.fields) == [field]
    assert on_record(bank) == []


def test_who_may(bank: World, counter: Counter) -> None:
    typed = CONFIRMED | {"what": "contract", "user_id": ""}
    auditor = counter.office.add("kansa01", Role.AUDITOR).at_work()
    for staff, refusal in ((counter.at_approver, RoleMissing), (auditor, RoleMissing)):
        with pytest.raises(refusal):
            stop_by_telephone(bank.ports, at_work=staff, contract_id=CONTRACT, typed=typed)
    bank.change("UPDATE contracts SET branch = '001'")
    elsewhere = counter.office.add("kakari02", Role.CLERK, branch="002").at_work()
    with pytest.raises(ContractUnknown):
        stop_by_telephone(bank.ports, at_work=elsewhere, contract_id=CONTRACT, typed=typed)
